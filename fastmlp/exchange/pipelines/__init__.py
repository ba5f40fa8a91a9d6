"""Fitted Pipelines of scikit-learn that end in an estimator of fastmlp: as data, and back."""

from fastmlp.exchange.pipelines.document import describe_pipeline as describe_pipeline
from fastmlp.exchange.pipelines.document import restore_pipeline as restore_pipeline
from fastmlp.exchange.pipelines.ends import split_pipeline as split_pipeline
from fastmlp.exchange.pipelines.kinds import input_names as input_names
from fastmlp.exchange.pipelines.numeric import add_steps as add_steps
from fastmlp.exchange.pipelines.texts import find_texts as find_texts
