"""A name for the sessions among Django's models: the admin's index and the permissions go by models."""

from typing import Any

from django.db import models  # type: ignore[import-untyped]  # Django ships no types

__all__ = ["Session"]


class _NoRows(models.Manager):  # type: ignore[misc]  # no types there
    """Finds nothing, without a query: ``dumpdata`` asks every model, and there is no table."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Session(models.Model):  # type: ignore[misc]
    """A session, which is in the store: the model has no table, no migration and no rows."""

    id = models.CharField(primary_key=True, max_length=64)
    objects = _NoRows()

    class Meta:  # noqa: D106  Django documents it
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "delete")
