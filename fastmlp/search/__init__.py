"""Searches for hyperparameters that end early, and many models at once."""

from fastmlp.search.hyperband import HyperbandSearch as HyperbandSearch
from fastmlp.search.many import GroupModels as GroupModels
from fastmlp.search.many import fit_many as fit_many
from fastmlp.search.successive_halving import SuccessiveHalvingSearch as SuccessiveHalvingSearch
