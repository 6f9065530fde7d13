"""Sphinx settings. The build is offline, and any warning is an error: ``tox -e docs``."""

from importlib import import_module

from wsgi_session import __version__

project = "wsgi_session"
author = "the wsgi_session contributors"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",  # the table at the top of each page of the reference
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_inline_tabs",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "wsgi_session"
html_static_path = ["static"]
html_js_files = [("accessible.js", {"defer": "defer"})]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

autosummary_generate = False  # the tables only: the pages are written by hand
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["pytest"]  # StoreContract needs it, its documentation does not
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"

nitpick_ignore_regex = [
    # Other projects' names are not linked: that would need the network.
    ("py:.*", r"(?!wsgi_session\b)[\w.]+\.\w+"),
    ("py:.*", r"[a-z]\w*|Any|Callable|Path|StartResponse|WSGI\w+"),
    # A type variable is nowhere documented.
    ("py:.*", r"(.*\.)?[A-Z]"),
]

# A name is defined in one of the house's rooms and documented at the door where users import it.
PUBLIC_MODULES = (
    "wsgi_session",
    "wsgi_session.errors",
    "wsgi_session.events",
    "wsgi_session.importers",
    "wsgi_session.stores",
    "wsgi_session.csrf",
    "wsgi_session.contrib.audit",
    "wsgi_session.contrib.bottle",
    "wsgi_session.contrib.django",
    "wsgi_session.contrib.falcon",
    "wsgi_session.contrib.flask",
    "wsgi_session.contrib.opentelemetry",
    "wsgi_session.contrib.prometheus",
    "wsgi_session.contrib.pyramid",
    "wsgi_session.dashboard",
    "wsgi_session.testing",
)


def link_to_the_public_name(app, env, node, contnode):
    """Resolve ``wsgi_session.lifetime.Lifetime``, or ``Lifetime`` alone, as ``wsgi_session.Lifetime``."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    for module in PUBLIC_MODULES:
        if name in import_module(module).__all__:
            domain = env.get_domain("py")
            target = f"{module}.{name}"
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)
    return None


def keep_the_colon(app, what, name, obj, options, lines):
    """Keep napoleon from reading ``The end: in Unix seconds`` on a property's first line as a type and a text."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def drop_the_comment(app, what, name, obj, options, lines):
    """Let the first line be the text again, which the tables of autosummary show."""
    if lines[:2] == ["..", ""]:
        del lines[:2]


def leave_out_empty_signature(app, what, name, obj, options, signature, return_annotation):
    """Show a protocol without the constructor that nobody calls."""
    return ("", None) if getattr(obj, "_is_protocol", False) else None


def setup(app):
    app.connect("autodoc-process-docstring", keep_the_colon, priority=400)  # before napoleon's 500
    app.connect("autodoc-process-docstring", drop_the_comment, priority=600)
    app.connect("autodoc-process-signature", leave_out_empty_signature)
    app.connect("missing-reference", link_to_the_public_name)
