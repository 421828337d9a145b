"""What the web application and the engine share: one MongoDB database, reached through one object.

Every call has a time limit; a database that does not answer is `StoreUnavailable`. State changes and results
are acknowledged from the journal of the database (j=True); progress that may be lost is not.
"""

from engine.store.connection import Store, connect

__all__ = ["Store", "connect"]
