"""A dtui that raises exceptions on purpose, in handlers, timers, workers, widgets and the driver.

An exception is raised once the editor's text contains an ``x``. A sitecustomize module injects it, so that dtui itself
needs no such switch.
"""

from __future__ import annotations

from pathlib import Path

_SITE = """
import os
import sys

if "DTUI_FAILS" in os.environ:
    def raised():
        raise eval(os.environ["DTUI_ERROR"])

    def in_app(place):
        from tui.ui.app import DtuiApp
        from tui.ui.widgets.code_area import CodeArea
        from textual.widgets import TextArea

        def fail(app):
            area = next(iter(app.screen.query(CodeArea)), None)
            if area is None or "x" not in area.text:
                return
            if place == "handler":
                raised()
            elif place == "later":
                app.call_later(raised)
            elif place == "refresh":
                app.call_after_refresh(raised)
            elif place == "timer":
                app.set_timer(0.01, raised)
            elif place == "worker":
                async def work():
                    raised()
                app.run_worker(work())
            elif place == "thread worker":
                app.run_worker(raised, thread=True)
            elif place == "render":
                area.render_line = lambda y: raised()
                area.refresh()
            elif place == "compose":
                from tui.ui.screens.base import BaseScreen
                class Bad(BaseScreen):
                    def body(self):
                        raised()
                        yield
                app.push_screen(Bad())
            elif place == "watch":
                area.watch(app, "theme", lambda: raised(), init=False)
                app.theme = "textual-light"
            elif place == "input":
                app._driver.process_message = lambda message: raised()
            elif place == "recursion":
                def deeper():
                    deeper()
                deeper()
            elif place == "memory":
                bytearray(1 << 62)
            elif place == "writer":
                class Broken:
                    write = flush = lambda *_: raised()
                app._driver._file._file = Broken()

        def changed(self, event):
            fail(self)

        from textual import on
        decorated = on(TextArea.Changed)(changed)
        DtuiApp._decorated_handlers = {
            **DtuiApp._decorated_handlers, TextArea.Changed: [(decorated, {})]
        }

    import importlib.abc

    class Late(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != "tui.ui.app":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            inner = spec.loader.exec_module
            def exec_module(module):
                inner(module)
                in_app(os.environ["DTUI_FAILS"])
            spec.loader.exec_module = exec_module
            return spec

    import importlib.util
    sys.meta_path.insert(0, Late())
"""


def failing_at(place: str, error: str, folder: Path) -> dict[str, str]:
    """Write the sitecustomize module to ``folder``; return the environment in which dtui raises ``error`` at ``place``.

    ``error`` is a Python expression.
    """
    (folder / "sitecustomize.py").write_text(_SITE)
    return {"PYTHONPATH": str(folder), "DTUI_FAILS": place, "DTUI_ERROR": error}
