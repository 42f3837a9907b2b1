"""One handle on a language model, local or behind an endpoint."""

from plumbrule.models.endpoint import EndpointModel
from plumbrule.models.handle import Choice, Completion, LanguageModel, Sampling, Score, Usage
from plumbrule.models.local import LocalModel
from plumbrule.models.opening import model_folder, open_model
from plumbrule.models.probing import probe
from plumbrule.models.settings import EndpointSettings, LocalSettings
from plumbrule.models.threads import fitting_threads

__all__ = [
    "Choice",
    "Completion",
    "EndpointModel",
    "EndpointSettings",
    "LanguageModel",
    "LocalModel",
    "LocalSettings",
    "Sampling",
    "Score",
    "Usage",
    "fitting_threads",
    "model_folder",
    "open_model",
    "probe",
]
