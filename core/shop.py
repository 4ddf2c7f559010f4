"""Whose shop this is: the name and the currency that customers are told, from the settings SHOP_NAME and CURRENCY."""

import dataclasses

LONGEST_NAME = 60  # characters
CURRENCIES = frozenset(  # ISO 4217: those in use whose minor unit is a hundredth, as prices are DECIMAL(10, 2)
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
    CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
    KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
    PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
    TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905
)


@dataclasses.dataclass(frozen=True)
class Shop:
    """What customers are told. A handler that names `shop` gets it."""

    name: str = "Bodega"  # 1 to LONGEST_NAME characters on one line
    currency: str = "EUR"  # of all prices and totals; one of CURRENCIES


def name_of(text: str) -> str:
    """Take a shop's name; raise ValueError: the rest of a sentence that begins with the setting's name."""
    if not text.isprintable() or len(text) > LONGEST_NAME:
        raise ValueError(f"is {text[:80]!r}; wanted are 1 to {LONGEST_NAME} characters of text on one line.")
    return text


def currency_of(text: str) -> str:
    """Take a code of ISO 4217; raise ValueError as `name_of` does."""
    if text not in CURRENCIES:
        raise ValueError(
            f"is {text[:80]!r}; wanted is the code of a currency (ISO 4217) in capital letters, such as EUR or USD. It "
            "must have two decimals, as all prices have: JPY has none, KWD has three."
        )
    return text
