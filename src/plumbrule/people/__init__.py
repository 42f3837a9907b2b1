"""People's labels: what to ask them, how it is kept, how far they agree, and how to exchange it."""

from plumbrule.people.agreement import (
    PeopleAgreement,
    PersonCertificate,
    agreement,
    cohen_kappa,
    kappa_between,
    krippendorff_alpha,
    person_certificate,
)
from plumbrule.people.database import LabelQueue, open_queue
from plumbrule.people.exchange import (
    LABEL_STUDIO_CONFIG,
    enter_into_ledger,
    export_labels,
    export_tasks,
    import_labels,
    read_items,
)
from plumbrule.people.queue import (
    Placement,
    inclusion_probabilities,
    live_events,
    place_items,
    settle,
    worth,
)
from plumbrule.people.records import (
    MarkedSpan,
    QueueEvent,
    QueueItem,
    QueueProgress,
    QueueSettings,
    ServedItem,
)
from plumbrule.people.tables import make_queue
from plumbrule.people.terminal import label_in_terminal
from plumbrule.people.web import LabelPage

__all__ = [
    "LABEL_STUDIO_CONFIG",
    "LabelPage",
    "LabelQueue",
    "MarkedSpan",
    "PeopleAgreement",
    "PersonCertificate",
    "Placement",
    "QueueEvent",
    "QueueItem",
    "QueueProgress",
    "QueueSettings",
    "ServedItem",
    "agreement",
    "cohen_kappa",
    "enter_into_ledger",
    "export_labels",
    "export_tasks",
    "import_labels",
    "inclusion_probabilities",
    "kappa_between",
    "krippendorff_alpha",
    "label_in_terminal",
    "live_events",
    "make_queue",
    "open_queue",
    "person_certificate",
    "place_items",
    "read_items",
    "settle",
    "worth",
]
