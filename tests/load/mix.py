"""What shoppers ask for, and how often: for costs.py, which measures it, and scaling.py, which computes with it."""

MIX = {  # of 1,000 requests
    "list": 400,
    "product": 250,
    "categories": 50,
    "suggestions": 50,
    "search": 50,
    "cart": 120,
    "add to a cart": 50,
    "order": 5,
    "pay": 5,
    "an order": 10,
    "account": 8,
    "log in": 2,
}
KEPT = (
    "list",
    "product",
    "categories",
)  # their answers are kept in memory; suggestions and searches are as good as new
REPLICATED = (*KEPT, "suggestions", "search")  # what a replica may answer
SORTS = ("", "&sort=price", "&sort=-price", "&sort=name", "&sort=newest")
PAGES = 4
CATEGORIES = 12
LISTS = CATEGORIES * len(SORTS) * PAGES  # different ones that shoppers look at
LINES = 2  # of a cart that is ordered
