"""The errors of the catalog; each one's message is a sentence for people.

CatalogError
├── NewerFormat              a newer Acumen wrote the data folder
├── CatalogNotReady          there is no catalog yet, or an older one that the server must migrate
├── CatalogDamaged           its bytes differ from what was written
├── CatalogUnavailable       the disk fails, perhaps because it is full: try again later
│   └── CatalogBusy          another process keeps the catalog locked for too long: try again
├── WrongSecret              keys were sealed with another secret than the server's present one
├── UnknownOrganisation · UnknownProject · UnknownCollection · UnknownLog · UnknownAccessKey
├── OrganisationInUse        it has projects
├── DuplicateProject         the project id is taken
├── DuplicateSavedQuery      another saved query has the name
├── UnknownDataset · DuplicateDataset
├── DatasetChanged           a dataset was deleted, or computed by another process, during a run
├── OutputTaken              a pipeline cannot have the collection as its output
├── PipelineChanged          a pipeline, or the state of a bucket, was changed during a run
├── UnknownPerson · DuplicatePerson · LastOwner
├── UnknownInvitation        a one-time link was used, has expired, or never existed
├── UnknownRun               there is no such run, or not in this state
├── InvalidName              the catalog does not accept this name, id or key
├── TooManyProperties        a collection's limit of distinct properties is exceeded
├── TooManyCollections       a project's limit of collections is exceeded
├── LogConflict              a log is not in the state that the change requires
├── FlushConflict            a flush does not follow the last one, or refers to files that were given up
└── CountsDisagree           rows and counters would no longer add up: nothing was committed
"""

from __future__ import annotations

from storage.errors import StorageError


class CatalogError(StorageError):
    """The base class; raised itself where a catalog is misused, as after a fork."""


class NewerFormat(CatalogError):
    pass


class CatalogNotReady(CatalogError):
    pass


class CatalogDamaged(CatalogError):
    pass


class CatalogUnavailable(CatalogError):
    pass


class CatalogBusy(CatalogUnavailable):
    pass


class WrongSecret(CatalogError):
    pass


class UnknownOrganisation(CatalogError):
    pass


class OrganisationInUse(CatalogError):
    pass


class UnknownProject(CatalogError):
    pass


class UnknownCollection(CatalogError):
    pass


class UnknownLog(CatalogError):
    pass


class UnknownAccessKey(CatalogError):
    pass


class DuplicateProject(CatalogError):
    pass


class DuplicateSavedQuery(CatalogError):
    pass


class UnknownRun(CatalogError):
    pass


class InvalidName(CatalogError):
    pass


class TooManyProperties(CatalogError):
    pass


class TooManyCollections(CatalogError):
    pass


class LogConflict(CatalogError):
    pass


class FlushConflict(CatalogError):
    pass


class CountsDisagree(CatalogError):
    pass


class OutputTaken(CatalogError):
    pass


class PipelineChanged(CatalogError):
    pass


class SourceChanged(CatalogError):
    """The source was removed, is another one now, or another process has gone on with it."""


class UnknownPerson(CatalogError):
    pass


class DuplicatePerson(CatalogError):
    """Another person has the e-mail address."""


class DuplicateIdentity(CatalogError):
    """The identity is another person's, or the person has another one of this issuer."""


class LastOwner(CatalogError):
    """An organisation would be left without an owner."""


class UnknownInvitation(CatalogError):
    pass


class UnknownDataset(CatalogError):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no dataset named '{name}'.")
        self.name = name


class TooManyMembers(CatalogError):
    """A static cohort would list more actors than it may."""

    def __init__(self, name: str, number: int, most: int) -> None:
        super().__init__(f"The cohort '{name}' would list {number:,} actors; it may list at most {most:,}.")
        self.name = name
        self.most = most


class DuplicateDataset(CatalogError):
    pass


class DatasetChanged(CatalogError):
    pass
