"""The errors of the catalog; the text of each is a sentence for a person.

CatalogError
├── NewerFormat              a newer Acumen wrote the data folder
├── CatalogNotReady          there is no catalog yet, or an older one that the server must migrate
├── CatalogDamaged           its bytes are not what was written
├── CatalogUnavailable       the disk refuses, being full perhaps: try again later
│   └── CatalogBusy          another process keeps the catalog locked for too long: try again
├── WrongSecret              keys were sealed with another secret than the server has now
├── UnknownOrganisation · UnknownProject · UnknownCollection · UnknownLog · UnknownAccessKey
├── OrganisationInUse        it has projects
├── DuplicateProject         the project id is taken
├── DuplicateSavedQuery      the name is another saved query's
├── UnknownDataset · DuplicateDataset
├── DatasetChanged           a dataset was deleted, or computed by another, while it was computed
├── InvalidName              a name, id or key that the catalog does not take
├── TooManyProperties        a collection's limit of distinct properties
├── TooManyCollections       a project's limit of collections
├── LogConflict              a log is not in the state that the change asks for
├── FlushConflict            a flush that does not follow the last one, or cites what is gone
└── CountsDisagree           rows and counters would no longer add up: nothing was committed
"""

from __future__ import annotations

from storage.errors import StorageError


class CatalogError(StorageError):
    """The base; raised itself where a catalog is used in a way that it is not made for."""


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


class UnknownDataset(CatalogError):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no dataset named '{name}'.")
        self.name = name


class DuplicateDataset(CatalogError):
    pass


class DatasetChanged(CatalogError):
    pass
