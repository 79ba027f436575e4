"""The page: static files, without a build step. This package does NOT know who serves them."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder with `index.html`, `app.js`, `style.css` and `portraits/*.png`."""
