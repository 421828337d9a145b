"""The NHOP engine: searches hyper-parameters and trains the networks on distributed TensorFlow.

The web application shares nothing with it but the database.
"""
