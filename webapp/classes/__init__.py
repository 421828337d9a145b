"""Uploaded Python files with classes of one's own: the list, an upload, deleting one."""
