"""Networks without a job: what every kind of model shares, and the parts that several are made of."""
