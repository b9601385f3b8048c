"""Networks without a job: what every kind of model is, and the parts that several are made of."""
