"""Sessions for people to read: the static picture, the page that is sent around, tables with units."""

from .code import code, steps_code
from .document import page, write_page
from .notebook import notebook
from .overview import picture
from .tables import compare_table

__all__ = ["code", "compare_table", "notebook", "page", "picture", "steps_code", "write_page"]
