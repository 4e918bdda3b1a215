"""python -m tests.live: the example site with its window, on an embedded server, to be tried by hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.demo.interrupts import Interrupts
from tests.demo.site import MANAGE, address, process
from tests.demo.stage import DemoError, Stage, build, staged
from tests.embedded import EmbeddedServerError, embedded_server

ADMIN_URL = "DATABASE_ADMIN_URL"
FILL = "from tests.example.shop.content import fill; fill()"
SIGNED_IN = """
  {url}/                 the shop            customer / customer
  {url}/admin/           the admin           admin / admin
  {url}/read-only/status/ and /health/   for banners and balancers

  In another shell:   {command}
  Ctrl-C ends the site and its server, and removes what they made.
"""


def main() -> int:
    try:
        with Interrupts() as interrupts, interrupts.safely(embedded_server()) as server, staged(server) as stage:
            build(stage)
            _serve(stage, interrupts)
    except KeyboardInterrupt:
        print("\nEnded; what it made is removed.", file=sys.stderr)
        return 0
    except (DemoError, EmbeddedServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _serve(stage: Stage, interrupts: Interrupts) -> None:
    env = {**stage.env, "DJANGO_SETTINGS_MODULE": "tests.example.window"}
    for arguments in (
        ("migrate", "--verbosity=0"),
        ("create_readonly_role",),
        ("shell", "--verbosity=0", "-c", FILL),
    ):
        with interrupts.safely(process({**env, ADMIN_URL: stage.admin_url}, str(MANAGE), *arguments)) as child:
            said, _ = child.communicate()
            if child.returncode:
                raise DemoError(f"manage.py {arguments[0]} ended with {child.returncode}: {said.strip()[-600:]}")
    log = Path(os.devnull)
    with interrupts.safely(process(env, str(MANAGE), "runserver", "--noreload", "127.0.0.1:0", log=log)) as site:
        shown = " ".join(
            f"{name}='{value}'" for name, value in env.items() if name.startswith(("DATABASE", "DJANGO"))
        )
        command = f"{shown} {sys.executable} tests/example/manage.py read_only on --eta 5m"
        print(SIGNED_IN.format(url=address(site, log), command=command), flush=True)
        site.wait()


if __name__ == "__main__":
    sys.exit(main())
