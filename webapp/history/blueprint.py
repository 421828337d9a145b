"""The blueprint that the views of the history share."""

from flask import Blueprint

blueprint = Blueprint("history", __name__, url_prefix="/history")
