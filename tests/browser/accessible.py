"""What axe-core finds on a page: rules of WCAG and its own good practice, checked in the browser."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

__all__ = ["grave"]


def grave(page: Page, within: str) -> list[str]:
    """Serious and critical violations in the elements of a selector: rule, element, what axe says of it."""
    violations = Axe().run(page, within, {"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]}: {' '.join(node.get('failureSummary', '').split())[:260]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
