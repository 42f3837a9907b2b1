"""stub"""


def documents(record, identities):
    return {}
