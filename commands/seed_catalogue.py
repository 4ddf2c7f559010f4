"""The products of `seed`: the words, and the rules that make products of them.

The same number of products gives the same rows. About 4 % of the products are withdrawn, and 6 % are sold out.
"""

import datetime
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

# A category, what it is about, its makers; below it: a thing, its prices, the range of {n}, and what the thing does.
TABLE = """\
Audio | Headphones, speakers and everything that sounds. | Auralis, Nordklang, Pulsewave, Tonwerk
  Wireless Headphones  | 49–349    | 18–60   | Active noise cancelling hushes trains and offices for up to {n} hours
  In-Ear Headphones    | 19–199    | 5–42    | Three sizes of soft tips keep them in place on a run of {n} kilometres
  Bluetooth Speaker    | 29–259    | 8–24    | It fills a room, survives a shower and plays for {n} hours
  Soundbar             | 99–599    | 60–300  | One cable to the television, {n} watts, and voices are clear again
  Turntable            | 129–749   | 9–12    | Belt-driven, with a built-in preamplifier and a {n}-gram tonearm
  USB Microphone       | 39–229    | 14–34   | Cardioid, with a stand, for podcasts, calls and songs; {n} mm capsule
Computers | Machines for work and play, and what is plugged into them. | Arcadia, Helix, Kestrel, Northgate
  Laptop               | 449–2499  | 8–20    | Bright screen, silent keyboard and a battery for {n} hours
  Mechanical Keyboard  | 49–219    | 20–100  | Hot-swappable switches rated for {n} million strokes
  Wireless Mouse       | 15–119    | 4–40    | Six buttons, a wheel with a notch and {n} weeks on one charge
  4K Monitor           | 229–999   | 10–15   | Colours out of the box as printers want them; height adjusts by {n} cm
  Portable SSD         | 49–389    | 1–3     | Copies a holiday in seconds and shrugs off a fall of {n} metres
  Docking Station      | 59–279    | 6–14    | One cable for screens, network and power; {n} ports in all
Phones & Tablets | Phones, tablets and what keeps them alive. | Arcadia, Lumo, Orbit, Vertex
  Smartphone           | 199–1199  | 16–40   | A camera that sees at night and a charge that lasts {n} hours
  Tablet               | 149–899   | 8–14    | Light enough to read in bed, with {n} hours of film on one charge
  Smartwatch           | 79–449    | 2–14    | Heart, sleep and steps at a glance, for {n} days between charges
  Power Bank           | 19–89     | 2–6     | Charges a phone {n} times and still fits a jacket
  USB-C Charger        | 12–79     | 20–140  | Small, cool and strong enough for a laptop; {n} watts
  Phone Case           | 9–49      | 1–3     | Raised edges protect the glass in falls from {n} metres
Kitchen | Tools and machines for people who cook. | Bergmann, Casa Lenta, Hearth & Pine, Molino
  Electric Kettle      | 24–129    | 2–4     | Boils a litre in {n} minutes and switches itself off
  Espresso Machine     | 99–899    | 15–45   | Fifteen bar, a real steam wand, ready in {n} seconds
  Cast Iron Skillet    | 25–119    | 20–32   | Sears, bakes and outlives its owner; {n} cm across
  Chef's Knife         | 19–179    | 15–24   | Forged blade of {n} cm that holds its edge
  Stand Mixer          | 129–649   | 4–12    | Kneads bread dough without walking about; {n} speeds
  Storage Jars         | 12–59     | 3–8     | Airtight glass in a set of {n}, with bamboo lids
Home & Living | Furniture, light and textiles for every room. | Fjordhus, Linden, Maison Claire, Oak & Wool
  Desk Lamp            | 19–149    | 30–90   | Warm or cool light from an arm of {n} cm that stays where it is put
  Armchair             | 149–899   | 20–80   | Solid beech and wool; tested for {n} thousand sittings
  Bookshelf            | 59–429    | 15–40   | Goes up in half an hour and carries {n} kg a board
  Cotton Bed Linen     | 29–189    | 200–600 | Washed soft, breathes in summer; {n} threads to the square inch
  Wool Blanket         | 39–199    | 130–200 | Woven from local wool, {n} cm wide, warm without weight
  Wall Clock           | 15–99     | 25–45   | No ticking, no numbers, {n} cm of quiet
Garden | For balconies, beds and lawns. | Flora & Fils, Greenway, Rootwise, Terrano
  Garden Hose          | 19–99     | 10–50   | Does not kink, does not leak; {n} metres on a wall reel
  Pruning Shears       | 12–79     | 15–30   | Cuts twigs of {n} mm cleanly, so that they heal
  Raised Bed           | 49–259    | 30–90   | Larch, untreated, screwed together in {n} minutes
  Cordless Lawn Mower  | 199–799   | 25–60   | Quiet enough for Sundays; {n} minutes on one charge
  Solar Path Lights    | 15–89     | 6–12    | Charge by day, shine for {n} hours
  Watering Can         | 9–59      | 5–14    | Balanced when full, {n} litres, with a fine rose
Sports & Outdoor | For paths, gyms and mountains. | Alpenrand, Cascade, Ridgeline, Velora
  Hiking Backpack      | 59–289    | 20–65   | Carries {n} litres close to the back, with a rain cover
  Two-Person Tent      | 89–549    | 3–9     | Stands in {n} minutes and keeps the storm outside
  Yoga Mat             | 15–89     | 3–8     | Grips when hands are damp; {n} mm thick
  Trail Running Shoes  | 59–179    | 4–10    | A sole that holds on wet stone; {n} mm drop
  Adjustable Dumbbells | 69–449    | 16–40   | From two to {n} kg with one turn
  Insulated Bottle     | 14–49     | 8–24    | Tea stays hot for {n} hours, water cold for twice that
Bicycles | Bicycles, their parts and what riders wear. | Cadence, Montverde, Stadtrad, Velora
  City Bicycle         | 299–1299  | 3–11    | Hub gears, mudguards and lights; {n} gears for every hill
  Electric Bicycle     | 999–3999  | 40–140  | Assists for {n} km and charges overnight
  Cycling Helmet       | 29–179    | 8–22    | Light, adjustable, with {n} vents
  Bicycle Lock         | 19–129    | 8–18    | Hardened steel, {n} mm thick, with three keys
  Floor Pump           | 19–79     | 6–12    | Reaches {n} bar and has a gauge one can read
  Pannier Bag          | 25–149    | 12–25   | Welded seams keep {n} litres dry
Fashion | Clothes and shoes that last more than a season. | Atelier Nord, Brook & Sons, Hanami, Lana
  Merino Sweater       | 49–179    | 15–21   | Fine wool of {n} microns that does not itch
  Rain Jacket          | 59–299    | 10–28   | Sealed seams, {n} thousand mm of water column, and it breathes
  Leather Boots        | 89–329    | 2–5     | Welted, so that they can be resoled {n} times
  Denim Jeans          | 39–149    | 10–14   | Organic cotton, {n} ounces, dyed with less water
  Linen Shirt          | 29–119    | 10–50   | Cool from the first day and softer after {n} washes
  Canvas Sneakers      | 29–109    | 2–6     | Vulcanised soles, {n} colours, no plastic
Toys & Games | For children, and for those who play with them. | Kobold, Little Fir, Meeple House, Tinkerbox
  Board Game           | 15–79     | 4–8     | For two to {n} players, explained in five minutes
  Wooden Train Set     | 19–129    | 30–120  | {n} pieces that fit all the usual tracks
  Building Blocks      | 14–99     | 40–200  | {n} blocks of beech, oiled, in a cotton bag
  Jigsaw Puzzle        | 9–39      | 5–20    | {n} hundred pieces that click
  Science Kit          | 19–89     | 12–60   | {n} experiments with what is in the kitchen
  Plush Animal         | 9–59      | 18–60   | Washable, soft, {n} cm from nose to tail
Books & Stationery | Paper, pens and things to read. | Clover Press, Halden, Papierhof, Quill & Co
  Dotted Notebook      | 7–35      | 60–120  | {n} sheets that take ink without bleeding through
  Fountain Pen         | 15–249    | 2–8     | A steel nib that starts at once; {n} cartridges included
  Cookbook             | 12–59     | 60–180  | {n} recipes that work on a weekday
  Travel Guide         | 9–39      | 12–80   | {n} walks, with maps, away from the queues
  Desk Organiser       | 9–69      | 4–12    | Walnut, {n} compartments, felt below
  Coloured Pencils     | 6–79      | 12–72   | {n} colours that blend and do not break
Beauty & Health | Care for skin, hair and nerves. | Aloé, Botanica, Kur & Bad, Purely
  Electric Toothbrush  | 19–199    | 14–60   | Two minutes, four quarters, {n} days on one charge
  Hair Dryer           | 19–249    | 2–6     | Dries fast at low heat; {n} settings
  Face Cream           | 8–89      | 30–100  | Without perfume; {n} ml last two months
  Massage Gun          | 39–299    | 5–20    | Loosens shoulders in {n} minutes, quietly
  Bathroom Scale       | 15–99     | 50–100  | Weighs to {n} grams and keeps it to itself
  Bath Salts           | 6–39      | 6–20    | From the sea, with lavender; enough for {n} baths
"""
STYLES = "Classic Compact Pro Essential Studio Urban Nordic Heritage Ultra Lite Signature Eco".split()  # noqa: SIM905
COLOURS = ("Black", "White", "Graphite", "Sand", "Forest Green", "Navy", "Terracotta", "Stone Grey", "Olive", "Cream")
PROMISES = (
    "Comes with a two-year warranty and free returns.",
    "Spare parts are available for ten years.",
    "Packed without plastic.",
    "Made in small batches; colours may vary a little.",
    "Designed for small flats and long use.",
    "Easy to clean, easy to store and easy to like.",
    "Customers praise the build and the fair price.",
    "Assembled in Europe from recycled and responsibly sourced material.",
    "Repairable with a single screwdriver.",
    "A sensible present.",
)
FIRST_DAY = datetime.datetime(2024, 1, 1)
SECONDS = 900 * 24 * 3600  # the days over which products came into the shop
ENDINGS = (0.99, 0.95, 0.90, 0.49, 0.00)  # of a price


class Thing(NamedTuple):
    """A kind of product: whole prices and the `{n}` of `does` are drawn from these ranges."""

    name: str
    prices: list[int]
    numbers: list[int]
    does: str


class Kind(NamedTuple):
    """A category and what it sells."""

    name: str
    about: str
    makers: list[str]
    things: list[Thing]


def _kinds() -> list[Kind]:
    kinds: list[Kind] = []
    for line in TABLE.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith(" "):
            prices, numbers = ([int(end) for end in cell.split("–")] for cell in cells[1:3])
            kinds[-1].things.append(Thing(cells[0], prices, numbers, cells[3]))
        else:
            kinds.append(Kind(cells[0], cells[1], cells[2].split(", "), []))
    return kinds


KINDS = _kinds()


def categories() -> list[list[Any]]:
    """Return rows for seed/add_categories."""
    return [[number, kind.name, kind.about] for number, kind in enumerate(KINDS, 1)]


def products(count: int) -> Iterator[list[Any]]:
    """Yield `count` rows for seed/add_products, the same for the same count."""
    chance = random.Random(20260101)  # noqa: S311 - a catalogue, not a secret
    draw, pick = chance.random, chance.choice
    for id in range(1, count + 1):
        category = id % len(KINDS)
        thing = pick(KINDS[category].things)
        (lowest, highest), (least, most) = thing.prices, thing.numbers
        model = f"{pick('ABCDEGHKLMNPRSTVX')}{int(draw() * 900) + 100}"
        maker, style, colour = pick(KINDS[category].makers), pick(STYLES), pick(COLOURS)
        name = f"{maker} {style} {thing.name} {model}, {colour}"
        price = lowest + int((highest - lowest) * draw() ** 2) + pick(ENDINGS)
        promise = int(draw() * len(PROMISES))
        other = PROMISES[promise - 1 - int(draw() * 5)]
        does = thing.does.format(n=least + int(draw() * (most - least + 1)))
        words = f"{thing.name} {model} {colour}".lower().replace(" ", "-").replace("'", "")
        image = f"/images/v1/{words}.svg"  # resources/images.py draws it
        sold_out, withdrawn = draw() < 0.06, draw() < 0.04
        stock = 0 if sold_out else int(draw() ** 2 * 400) + 1
        created = FIRST_DAY + datetime.timedelta(seconds=int(draw() * SECONDS))
        description = f"{does}. {PROMISES[promise]} {other}"
        yield [id, name, description, f"{price:.2f}", image, category + 1, stock, 0 if withdrawn else 1, str(created)]
