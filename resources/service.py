"""The service itself: is it alive, and can it work? For load balancers and operators."""

from core.app import app
from core.cache import REVALIDATE
from core.contract import openapi
from core.contract.shapes import Shape, field
from core.db.database import Row, Session
from core.db.migrations import State, applied
from core.db.readiness import Readiness
from core.errors import ServiceUnavailable
from core.identity.auth import PUBLIC

STATUS = Shape("Status", status=field("string", "How the service is: alive, or ready.", "ready"))


@app.get(
    "/api/openapi.json", auth=PUBLIC, produces="application/json", cache=REVALIDATE, message="The OpenAPI 3.1 document."
)
def get_openapi_document() -> bytes:
    """Describe this API.

    The OpenAPI document is generated from the routes: what it says is what is checked.
    """
    return openapi.text(app)


@app.get("/api/health", auth=PUBLIC, returns=STATUS, message="Alive.", at_once=True)
def get_health() -> Row:
    """Say that the process runs.

    The database is not asked: who restarts processes that do not answer asks here.
    """
    return {"status": "alive"}


@app.get("/api/ready", auth=PUBLIC, returns=STATUS, message="Ready.")
def get_readiness(db: Session, readiness: Readiness) -> Row:
    """Say whether the shop can work.

    It can where the database answers, its schema is the one that this shop needs, and all statements fit it. Otherwise
    503 says what is missing. A load balancer asks here.
    """
    state = State(readiness.migrations, applied(db))
    names = [migration.name for migration in state.pending]
    words = {state.word(migration) for migration in state.migrations}
    message = None
    if "half-applied" in words:
        message = "A migration is running or did not end well. Type: python3 server.py migrate status"
    elif "edited" in words:
        message = "A migration is another one than was applied. Type: python3 server.py migrate status"
    elif names:
        message = f"The database waits for {len(names)} migration(s): {', '.join(names)}."
    elif not readiness.look():
        message = (
            "Files of sql/ do not fit the database. The log says which, and where; or type: python3 server.py check"
        )
    if message:
        raise ServiceUnavailable(message, {"pending": names}, retry_after=10)
    return {"status": "ready"}
