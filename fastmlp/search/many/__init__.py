"""Many models: one per group of rows, fitted side by side and stored together."""

from fastmlp.search.many.fitting import fit_many as fit_many
from fastmlp.search.many.models import GroupModels as GroupModels
