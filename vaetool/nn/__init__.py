"""Networks independent of a task: the base of all kinds of model, and parts that several share."""
