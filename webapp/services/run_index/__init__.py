"""A derived index of the runs of a database, in SQLite: what the list of runs is sorted, filtered and paged by.

Sacred makes no index, and a database may be somebody else's. So whatever lists show is copied here, field by field, and
kept up to date by a follower; pages ask this index alone. It can be deleted at any time: it is built anew.
"""
