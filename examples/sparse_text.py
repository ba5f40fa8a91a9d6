"""
Sparse text: what is a description about?
=========================================

Paragraphs from the descriptions of SciPy's functions, as words in a sparse matrix: which part of
SciPy is one from? The matrix is never made dense.
"""

import inspect
from time import perf_counter

import numpy as np
import scipy
from matplotlib import pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupShuffleSplit

from fastmlp import MLPClassifier

# %%
# Texts that are on every machine with fastmlp: the first paragraphs of docstrings. A fourth of the
# functions is for the test, with all of their paragraphs.

ROOMS = {
    "signals": scipy.signal,
    "statistics": scipy.stats,
    "linear algebra": scipy.linalg,
    "special functions": scipy.special,
    "images": scipy.ndimage,
}
texts, topics, functions = [], [], []
for topic, module in ROOMS.items():
    for name in module.__all__:
        doc = inspect.getdoc(getattr(module, name)) or ""
        paragraphs = [part for part in doc.split("\n\n") if len(part) > 40]
        texts += paragraphs[:12]
        topics += [topic] * len(paragraphs[:12])
        functions += [name] * len(paragraphs[:12])
every_text, topic_of = np.array(texts, object), np.array(topics)
splitter = GroupShuffleSplit(1, test_size=0.25, random_state=0)
train, test = next(splitter.split(every_text, topic_of, groups=functions))
y_train, y_test = topic_of[train], topic_of[test]
words = TfidfVectorizer(token_pattern=r"[a-z]{3,}", min_df=2, sublinear_tf=True, dtype=np.float32)
X_train, X_test = (
    words.fit_transform(every_text[train]),
    words.transform(every_text[test]),
)
filled = X_train.nnz / np.prod(X_train.shape)
print(f"{X_train.shape[0]} paragraphs, {X_train.shape[1]} words, {filled:.2%} of the cells filled")

# %%
# Dropout, because there are nearly as many words as paragraphs; the rate falls along a cosine.

clf = MLPClassifier(
    "64",
    dropout=0.5,
    learning_rate="cosine",
    learning_rate_init=0.01,
    max_iter=15,
    n_iter_no_change=np.inf,
    random_state=0,
)
start = perf_counter()
clf.fit(X_train, y_train)
print(f"{clf.n_iter_} epochs in {perf_counter() - start:.2f} s")
accuracy = clf.score(X_test, y_test)
largest = max(np.unique(y_test, return_counts=True)[1]) / len(y_test)
print(f"accuracy {accuracy:.2f}; the most frequent topic alone: {largest:.2f}")

# %%
# Which words speak for a topic? Each word alone is a text, too.

vocabulary = np.array(words.get_feature_names_out())
alone = clf.predict_proba(scipy.sparse.identity(len(vocabulary), np.float32, format="csr"))
figure, axes = plt.subplots(1, 5, figsize=(11, 3.2), layout="constrained", sharex=True)
for topic, column, ax in zip(clf.classes_, alone.T, axes, strict=True):
    best = np.argsort(column)[-8:]
    ax.barh(vocabulary[best], column[best], color="#0072B2")
    ax.set_title(topic)
    ax.spines[["top", "right"]].set_visible(False)
figure.supxlabel("probability of the topic for a text of this one word")
