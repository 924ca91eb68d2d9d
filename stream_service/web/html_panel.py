"""A piece of text on the page, made of a template, that is sent again only when it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bokeh.models import Div, InlineStyleSheet

from stream_service.web.look import TEMPLATES


class HtmlPanel:
    """One such piece: `templates/<name>.html` with facts, of which nothing is taken for HTML."""

    def __init__(self, name: str, facts: Callable[[], Mapping[str, Any]], sheet: InlineStyleSheet) -> None:
        self._template = TEMPLATES.get_template(f"{name}.html")
        self._facts = facts
        self._div = Div(name=name, text="", sizing_mode="stretch_width", margin=0, stylesheets=[sheet])
        self.roots = (self._div,)

    def show(self) -> None:
        """Show how it is now."""
        text = self._template.render(self._facts())
        if text != self._div.text:
            self._div.text = text
