"""Print the OpenAPI document of this API, or the requests that are made from it."""

from core import openapi, requests_http
from core.app import app
from core.system import say

HELP = "print the OpenAPI 3.1 document"


def arguments(parser):
    """Declare the options."""
    parser.add_argument("--http", action="store_true", help="print every request, for REST Client: requests.http")


def run(options, config, shop):
    """Print it."""
    say(requests_http.text(openapi.document(app)).rstrip("\n") if options.http else openapi.text(app).decode())
    return 0
