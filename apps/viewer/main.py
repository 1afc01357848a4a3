"""The viewer: the page of Streamlit, and beside it the routes of tiles, volumes and JavaScript.

``medconsist view --results DIR`` starts it. One process, one port, one origin.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from medconsist.viewing.launch import hosts, origins
from medconsist.viewing.web.application import viewer_routes
from medconsist.viewing.web.headers import SecurityHeaders, hashes_of_scripts, unforeseen
from medconsist.viewing.web.origins import SameOrigin
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.sign_in import SignInAnswers

settings = ViewerSettings.of_environment()
names = list(hosts(settings))
index = Path(st.__file__).with_name("static") / "index.html"
app = st.App(
    Path(__file__).with_name("page.py"),
    routes=viewer_routes(),
    middleware=[
        Middleware(TrustedHostMiddleware, allowed_hosts=names),
        Middleware(SecurityHeaders, scripts=hashes_of_scripts(index.read_text("utf-8"))),
        Middleware(SameOrigin, origins=origins(settings)),
        Middleware(SignInAnswers),
    ],
    exception_handlers={Exception: unforeseen},
)
