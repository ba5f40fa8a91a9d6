"""Fitted Pipelines of scikit-learn that end in an estimator of fastmlp: as data, and back."""

from fastmlp.exchange.pipelines.document import describe_pipeline as describe_pipeline
from fastmlp.exchange.pipelines.document import restore_pipeline as restore_pipeline
