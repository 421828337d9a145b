"""The NHOP engine: searches hyper-parameters and trains the networks on distributed TensorFlow.

The web application shares nothing with it but the database.
"""

import warnings

warnings.filterwarnings("ignore", message="pkg_resources is deprecated as an API")  # Sacred's, at its import
