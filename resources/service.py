"""The service itself: is it alive, and can it work? For load balancers and operators."""

from core import migrations, openapi
from core.app import app
from core.auth import PUBLIC
from core.cache import REVALIDATE
from core.errors import ServiceUnavailable
from core.validation import Shape

STATUS = Shape("Status", status={"type": "string", "meta": {"example": "ready"}})


@app.get(
    "/api/openapi.json", auth=PUBLIC, gives="application/json", cache=REVALIDATE, message="The OpenAPI 3.1 document."
)
def describe():
    """Describe this API: the OpenAPI document, generated from the routes."""
    return openapi.text(app)


@app.get("/api/health", auth=PUBLIC, returns=STATUS, message="Alive.")
def health():
    """Say that the process runs; the database is not asked."""
    return {"status": "alive"}


@app.get("/api/ready", auth=PUBLIC, returns=STATUS, message="Ready.")
def ready(db):
    """Say whether the database answers and its schema is current."""
    state = migrations.State(migrations.files(), migrations.applied(db))
    names = [migration.name for migration in state.pending]
    if state.problem:  # its sentence is for the terminal: it names tables
        message = "A migration is running or did not end well. Type: python3 server.py migrate status"
        raise ServiceUnavailable(message, {"pending": names}, retry_after=10)
    if names:
        message = f"The database waits for {len(names)} migration(s): {', '.join(names)}."
        raise ServiceUnavailable(message, {"pending": names}, retry_after=10)
    return {"status": "ready"}
