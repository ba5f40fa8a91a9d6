"""MNIST as the articles load it, and with its own split.

Source: "A simple CNN for the MNIST dataset" II, linux-blog.anracom.com.
"""

from __future__ import annotations

import numpy as np

from fastmlp.cnn.arrays import Images
from fastmlp.cnn.images import ImageData, load_images

Arrays = tuple[Images, Images, Images, Images]


def load_Mnist(seed: int | None = None, verbose: bool = True) -> Arrays:
    """Training images, test images, training labels and test labels of MNIST, as in the articles.

    The pixels of all 70000 images are standardized together, the images are put into a random
    order, and the last 10000 are the test images: they are not MNIST's own, and not new to the
    scaler. :func:`fastmlp.cnn.load_mnist` keeps both apart.

    Parameters
    ----------
    seed : int or None
        Of the random order.
    verbose : bool
        Print the shapes, before and after the axis for the channel is added, and the first label.

    Returns
    -------
    images of shape (60000, 28, 28, 1) and (10000, 28, 28, 1), float32, each pixel standardized;
    one-hot labels of shape (60000, 10) and (10000, 10), float32
    """
    data = load_images("mnist", legacy_split=True, seed=seed)
    train_imgs, test_imgs, train_labels, test_labels = _with_one_hot_labels(data)
    if verbose:
        for images in (train_imgs, test_imgs):
            print(images.shape[:3])
        for images in (train_imgs, test_imgs):
            print(images.shape)
        print(train_labels[0])
    return train_imgs, test_imgs, train_labels, test_labels


def load_mnist(legacy_split: bool = False, seed: int | None = None, verbose: bool = True) -> Arrays:
    """Training images, test images, training labels and test labels of MNIST.

    Parameters
    ----------
    legacy_split : bool
        Fit the scaler on all 70000 images and split them again at random, as the articles do. The
        default keeps the official split, and a scaler that has not seen the test images.
    seed : int or None
        Of the legacy split.
    verbose : bool
        Print the shapes.

    Returns
    -------
    images of shape (60000, 28, 28, 1) and (10000, 28, 28, 1), float32, each pixel standardized;
    one-hot labels of shape (60000, 10) and (10000, 10), float32
    """
    arrays = _with_one_hot_labels(load_images("mnist", legacy_split=legacy_split, seed=seed))
    if verbose:
        for images in arrays[:2]:
            print(images.shape[:3], "->", images.shape)
        print("labels:", arrays[2][0])
    return arrays


def _with_one_hot_labels(data: ImageData) -> Arrays:
    one_hot = np.eye(10, dtype=np.float32)
    return data.X_train, data.X_test, one_hot[data.y_train], one_hot[data.y_test]
