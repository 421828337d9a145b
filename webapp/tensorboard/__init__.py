"""A process of its own, `python -m webapp.tensorboard`, that makes event files of runs and shows them with TensorBoard.

The web process imports nothing of this package. TensorBoard would import TensorFlow where that is installed, which
takes seconds and hundreds of megabytes; a module of this name, which its builds without TensorFlow have, keeps it from
that.
"""

import sys
from types import ModuleType

sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
