"""CNN II: its calls, pasted, and everything that the articles do with the model that comes back."""

from __future__ import annotations

import contextlib
import inspect
import io
import subprocess
import sys

import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_keras

from fastmlp.cnn import CNNConfig, DenseLayer, load_mnist
from fastmlp.cnn.articles import build_cnn_simple, load_Mnist, train, train_part_2
from fastmlp.cnn.articles.lists import config_of_lists
from fastmlp.cnn.state import current_rate, iterations

pytestmark = KERAS_SAVES_BY_COPY  # also where it reads weights

li_Conv = [[32, (3, 3), 0], [64, (3, 3), 0], [64, (3, 3), 0]]
li_Pool = [[(2, 2)], [(2, 2)]]
li_MLP = [[70, 0], [10, 0]]
input_shape = (28, 28, 1)

N, BATCH_SIZE = 130, 64
train_imgs, LABELS = bars(N, 28)
train_labels = np.eye(10, dtype=np.float32)[LABELS]
test_imgs, test_labels = train_imgs[:50], train_labels[:50]

SMALL = [[4, 3, 0], [6, 3, 0]], [[2]], [[8, 0], [3, 0]], (10, 10, 1)
DENSE_ONLY = [], [], [[3, 0]], (10, 10, 1)
"""Lists of networks that are quickly built, the second one most quickly."""


class Trained:
    """The article's call, and what it printed."""

    def __init__(self):
        build, reset, epochs = True, True, 2
        optimizer, loss, metrics = "rmsprop", "categorical_crossentropy", ["accuracy"]
        cnn, printed = None, io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.cnn, self.fit_time = train(
                cnn,
                build,
                train_imgs,
                train_labels,
                reset,
                epochs,
                BATCH_SIZE,
                optimizer,
                loss,
                metrics,
                li_Conv,
                li_Pool,
                li_MLP,
                input_shape,
                validation_data=(test_imgs, test_labels),
                verbose=2,
            )
        self.printed, self.history = printed.getvalue(), self.cnn.history.history
        self.measured = self.cnn.evaluate(test_imgs, test_labels, batch_size=50, verbose=0)


@pytest.fixture(scope="module")
def trained():
    return Trained()


@pytest.fixture(scope="module")
def cnn(trained):
    return trained.cnn


def test_the_form_of_part_2_has_the_articles_parameters_in_their_order():
    names = (
        "cnn build train_imgs train_labels reset epochs batch_size optimizer loss metrics li_Conv "
        "li_Pool li_MLP input_shape"
    )
    assert list(inspect.signature(train_part_2).parameters)[:14] == names.split()


@needs_keras
def test_build_gives_a_keras_model_with_the_articles_layers_and_parameters(capsys):
    import keras

    cnn = build_cnn_simple(li_Conv, li_Pool, li_MLP, input_shape)
    assert isinstance(cnn, keras.Sequential)
    cnn.summary()
    printed = capsys.readouterr().out
    for text in ("Total params: 96,844", "18,496", "36,928", "(None, 26, 26, 32)", "Max_Pool_2"):
        assert text in printed
    names = ["Conv2D_1", "Max_Pool_1", "Conv2D_2", "Max_Pool_2", "Conv2D_3"]
    assert [layer.name for layer in cnn.layers] == [*names, "flatten", "Dense_1", "Dense_2"]
    assert [layer.count_params() for layer in cnn.layers if layer.weights] == [
        320,
        18_496,
        36_928,
        40_390,
        710,
    ]
    assert cnn.count_params() == 96_844
    assert config_of_lists(li_Conv, li_Pool, li_MLP, input_shape) == CNNConfig.article("C2")
    assert cnn.get_layer("Dense_1").get_weights()[0].shape == (576, 70)
    assert cnn.inputs[0].shape == (None, 28, 28, 1)
    assert cnn.outputs[0].shape == (None, 10)
    assert cnn.get_layer("Conv2D_3").output.shape == (None, 3, 3, 64)
    maps = keras.Model(cnn.inputs[0], cnn.get_layer("Conv2D_3").output)
    assert maps(train_imgs[:2]).shape == (2, 3, 3, 64)


@needs_keras
def test_train_gives_model_and_seconds_and_prints_as_keras_does(trained):
    assert 0 < trained.fit_time < 300
    seen = trained.history
    assert list(seen) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    for epoch in (0, 1):
        assert f"Epoch {epoch + 1}/2" in trained.printed
        for name, values in seen.items():
            assert f"{name}: {values[epoch]:.4f}" in trained.printed
    assert "3/3" in trained.printed
    loss, acc = trained.measured
    assert (loss, acc) == pytest.approx((seen["val_loss"][-1], seen["val_accuracy"][-1]), rel=1e-4)


@needs_keras
def test_names_of_arguments_mean_the_same_as_their_places_and_a_seed_repeats_a_run():
    values = True, 1, 4, "rmsprop", "categorical_crossentropy", ["accuracy"], *DENSE_ONLY
    names = list(inspect.signature(train_part_2).parameters)[4:14]
    found = []
    for places, named in ((values, {}), ((), dict(zip(names, values, strict=True)))):
        result = train(None, True, *bars(9), *places, **named, seed=0, verbose=0)
        assert len(result) == 2
        found.append(result[0].get_weights()[0])
    np.testing.assert_array_equal(*found)


@needs_keras
def test_evaluate_is_loss_and_accuracy_of_what_predict_says(cnn, capsys):
    from keras import ops

    loss, acc = cnn.evaluate(test_imgs, test_labels, batch_size=20, verbose=0)
    assert capsys.readouterr().out == ""
    outputs = cnn.predict(test_imgs, verbose=0)
    assert outputs.shape == (50, 10)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    assert acc == pytest.approx((outputs.argmax(axis=1) == LABELS[:50]).mean())
    expected = -np.log(outputs[np.arange(50), LABELS[:50]].astype(float)).mean()
    assert loss == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(ops.convert_to_numpy(cnn(test_imgs)), outputs, atol=1e-5)


@needs_keras
def test_fit_trains_further_and_its_history_has_the_accuracies(cnn):
    before = iterations(cnn)
    history = cnn.fit(
        train_imgs,
        train_labels,
        epochs=1,
        batch_size=BATCH_SIZE,
        validation_data=(test_imgs, test_labels),
        shuffle=True,
        verbose=0,
    )
    assert iterations(cnn) == before + 3
    assert 0 <= history.history["accuracy"][-1] <= 1
    assert len(history.history["val_loss"]) == 1


@needs_keras
def test_weights_and_the_model_are_saved_and_loaded(cnn, tmp_path):
    import keras

    expected = cnn.predict(test_imgs, verbose=0)
    weights = [w.copy() for w in cnn.get_weights()]
    cnn.save_weights(tmp_path / "cnn.weights.h5")
    cnn.save(tmp_path / "cnn.keras")
    cnn.set_weights([np.zeros_like(w) for w in weights])
    assert np.ptp(cnn.predict(test_imgs, verbose=0)) < 1e-6
    cnn.load_weights(tmp_path / "cnn.weights.h5")
    for found, wanted in zip(cnn.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    again = keras.models.load_model(tmp_path / "cnn.keras")
    np.testing.assert_allclose(again.predict(test_imgs, verbose=0), expected, atol=1e-6)
    assert len(again.evaluate(test_imgs, test_labels, verbose=0)) == 2


@needs_keras
def test_without_build_the_same_model_continues_or_starts_again():
    data = bars(40)
    images, labels = data[0], np.eye(3, dtype=np.float32)[data[1]]
    rest = "rmsprop", "categorical_crossentropy", ["accuracy"], *DENSE_ONLY
    options = dict(seed=0, verbose=False)
    cnn, _ = train(None, True, images, labels, True, 2, 10, *rest, **options)
    first = [w.copy() for w in cnn.get_weights()]
    again, _ = train(cnn, False, images, labels, True, 2, 10, *rest, **options)
    assert again is cnn
    assert iterations(cnn) == 8
    for found, wanted in zip(cnn.get_weights(), first, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    train(cnn, False, images, labels, False, 1, 10, *rest, **options)
    assert iterations(cnn) == 12


@needs_keras
def test_optimizer_loss_and_metrics_may_be_objects_of_keras_also_for_a_second_model():
    import keras

    images, labels = bars(20)
    adam = keras.optimizers.Adam(0.002)
    rest = adam, keras.losses.CategoricalCrossentropy(), [keras.metrics.CategoricalAccuracy()]
    for _ in range(2):
        cnn, _ = train(None, True, images, labels, True, 1, 20, *rest, *DENSE_ONLY, verbose=0)
        assert isinstance(cnn.optimizer, keras.optimizers.Adam)
        assert current_rate(cnn) == pytest.approx(0.002)
        assert iterations(cnn) == 1
        assert "categorical_accuracy" in cnn.history.history


@needs_keras
def test_without_a_seed_that_of_keras_decides_and_with_one_it_is_not_touched():
    import keras

    images, labels = bars(12)
    rest = "rmsprop", "categorical_crossentropy", ["accuracy"], *DENSE_ONLY
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        cnn, _ = train(None, True, images, labels, True, 1, 4, *rest, verbose=0)
        found.append(cnn.get_weights()[0])
    np.testing.assert_array_equal(*found)
    state = np.random.get_state()[1].copy()
    first, second = (build_cnn_simple(*DENSE_ONLY, seed=seed).get_weights()[0] for seed in (3, 4))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@needs_keras
def test_the_batches_of_a_seed_have_every_image_once_in_another_order_every_epoch():
    from fastmlp.cnn.articles.batches import ShuffledBatches

    images = np.arange(10, dtype=np.float32)
    batches = ShuffledBatches(images, 2 * images, 4, [0, 0])

    def epoch():
        pairs = [batches[i] for i in range(len(batches))]
        assert [len(x) for x, _ in pairs] == [4, 4, 2]
        batches.on_epoch_end()
        x, y = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        np.testing.assert_array_equal(y, 2 * x)
        return x

    first, second = epoch(), epoch()
    for order in (first, second):
        np.testing.assert_array_equal(np.sort(order), images)
    assert (first != second).any()
    other = ShuffledBatches(images, images, 10, [0, 5])[0][0]
    assert (other != first).any()


ON_A_DEVICE = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from fastmlp.cnn import CNN
from fastmlp.cnn.articles import train
from fastmlp.cnn.articles.lists import config_of_lists
lists = [[4, 3, 0]], [], [[3, 0]], (10, 10, 1)
images, labels = np.ones((20, 10, 10, 1), "f4"), np.arange(20) % 3
def places(model):
    held = [v.value.device for v in (*model.trainable_variables, *model.optimizer.variables)]
    return sorted({name[-5:] for name in [*held, model(images[:1]).device]})
for number in (0, 1):
    with tf.device(f"/CPU:{number}"):
        cnn, _, _, _ = train(None, True, images, labels, *lists, epochs=1, verbose=0)
        print(places(cnn), end=" ")
        cnn, _ = train(None, True, images, labels, True, 1, 10, "rmsprop",
                       "categorical_crossentropy", ["accuracy"], *lists, verbose=0)
        print(places(cnn), end=" ")
        own = CNN(config_of_lists(*lists))
    own.fit(images, labels, epochs=1)
    print(own.device, sorted({weights.value.device[-5:] for weights in own.model.weights}))
"""


@pytest.mark.soak
@needs_keras
def test_a_device_around_a_call_is_obeyed():
    keras = pytest.importorskip("keras")
    if keras.config.backend() != "tensorflow":
        pytest.skip("tf.device is TensorFlow's")
    result = subprocess.run([sys.executable, "-c", ON_A_DEVICE], capture_output=True, text=True)
    assert result.stdout.splitlines() == [
        "['CPU:0'] ['CPU:0'] cpu:0 ['CPU:0']",
        "['CPU:1'] ['CPU:1'] cpu:1 ['CPU:1']",
    ], result.stderr[-2000:]


def test_load_mnist_of_the_articles_mixes_both_sets_and_scales_by_all(mnist, capsys):
    images, tests, labels, tests_labels = load_Mnist()
    assert (images.shape, tests.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    assert (labels.shape, tests_labels.shape) == ((60000, 10), (10000, 10))
    assert images.dtype == np.float32
    both = np.concatenate([images[:, 14, 14, 0], tests[:, 14, 14, 0]]).astype(float)
    assert abs(both.mean()) < 1e-5
    assert both.std() == pytest.approx(1, abs=1e-4)
    assert (labels.argmax(axis=1) != mnist.y_train).mean() > 0.8
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [str(shape) for shape in ((60000, 28, 28), (10000, 28, 28))] + [
        str(images.shape),
        str(tests.shape),
    ]
    assert printed[4] == str(labels[0])


def test_load_mnist_keeps_the_official_split_and_scales_by_the_training_images(mnist, capsys):
    images, tests, labels, tests_labels = load_mnist()
    assert images.shape == (60000, 28, 28, 1)
    assert (tests.shape, labels.shape) == ((10000, 28, 28, 1), (60000, 10))
    np.testing.assert_array_equal(labels.argmax(axis=1), mnist.y_train)
    np.testing.assert_array_equal(tests_labels.argmax(axis=1), mnist.y_test)
    center = images[:, 14, 14, 0].astype(float)
    assert abs(center.mean()) < 1e-5
    assert center.std() == pytest.approx(1, abs=1e-4)
    assert "(60000, 28, 28) -> (60000, 28, 28, 1)" in capsys.readouterr().out


@needs_keras
def test_indices_and_names_mean_the_same():
    _, pools, _, shape = SMALL
    by_index = config_of_lists([[4, 3, 3], [6, 3, 4]], pools, [[8, 2], [3, 1]], shape)
    conv, dense = [[4, 3, "tanh"], [6, 3, "selu"]], [[8, "tanh"], [3, "sigmoid"]]
    assert by_index == config_of_lists(conv, pools, dense, shape)
    assert by_index.loss == "binary_crossentropy"
    images = bars(5)[0]
    outputs = [
        build_cnn_simple(*lists, shape, seed=0).predict(images, verbose=0)
        for lists in (([[4, 3, 3], [6, 3, 4]], pools, [[8, 2], [3, 1]]), (conv, pools, dense))
    ]
    np.testing.assert_array_equal(*outputs)


def test_layers_have_the_articles_names_or_given_ones():
    conv, pools, dense, shape = SMALL
    config = config_of_lists([[4, 3, 0, "mine"], conv[1]], [[2, "half"]], dense, shape)
    assert [layer.name for layer in config.conv] == ["mine", "Conv2D_2"]
    assert config.pools[0].name == "half"
    config = config_of_lists(conv, pools, [DenseLayer(8), DenseLayer(3, "softmax")], shape)
    assert [layer.name for layer in config.dense] == ["Dense_1", "Dense_2"]


CONV, POOLS, DENSE, SHAPE = SMALL


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ((CONV, [[2], [2]], DENSE, SHAPE), "pools must have 1 layers"),
        (([[4, 3, 5]], [], DENSE, SHAPE), r"li_Conv\[0\] must be one of 0 or 'relu'"),
        (([[4, 3, True]], [], DENSE, SHAPE), r"activation in li_Conv\[0\]"),
        ((CONV, POOLS, [[8, "softmax"], [3, 0]], SHAPE), r"activation in li_MLP\[0\]"),
        ((CONV, POOLS, [[8, 0], [3, "relu"]], SHAPE), r"activation in li_MLP\[1\]"),
        ((CONV, POOLS, [DenseLayer(3)], SHAPE), r"activation of the output \(dense\[0\]\)"),
        ((CONV, POOLS, [], SHAPE), "dense must have at least one layer"),
        (([[4, 3]], [], DENSE, SHAPE), r"li_Conv\[0\] must be a list of 3 values.*got \[4, 3\]"),
        (([4, 3, 0], [], DENSE, SHAPE), r"li_Conv\[0\] must be a list of 3 values.*got 4"),
        ((CONV, [[2, "half", 1]], DENSE, SHAPE), r"li_Pool\[0\] must be a list of 1 values"),
        ((*SMALL, "ridge"), "regularizer must be one of"),
        ((CONV, POOLS, DENSE, (10, 10)), r"input_shape must be \(height, width, channels\)"),
    ],
)
def test_lists_that_do_not_fit_are_named(lists, message):
    with pytest.raises(ValueError, match=message):
        build_cnn_simple(*lists)


@needs_keras
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (dict(images=bars(6, 9)[0]), ValueError, r"train_imgs must be images of shape \(n, 10, 10"),
        (dict(labels=np.full(6, 3)), ValueError, "train_labels must be whole numbers from 0 to 2"),
        (dict(epochs=0), ValueError, "epochs must be at least 1; got 0"),
        (dict(batch_size=0), ValueError, "batch_size must be at least 1; got 0"),
        (dict(loss="binary_crossentropy"), ValueError, "'sigmoid' outputs; got 'softmax'"),
        (dict(build=False), ValueError, "cnn must be a Keras model where build is False; got None"),
        (dict(build=False, cnn=3), TypeError, "cnn must be a Keras model; got int"),
        (dict(seed=-1), ValueError, "seed must be at least 0"),
        (dict(callbacks=[print]), TypeError, "callbacks must be Keras callbacks; got <built-in"),
        (dict(validation_data=1), TypeError, r"validation_data must be a pair \(X, y\)"),
        (
            dict(validation_data=(np.ones((2, 10, 10, 1)), [0])),
            ValueError,
            r"validation_data\[1\]",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_named_before_any_training(changes, error, message):
    images, labels = bars(6)
    given = {"cnn": None, "build": True, "images": images, "labels": labels, "epochs": 1}
    given |= {"batch_size": 6, "loss": "categorical_crossentropy"} | changes
    first = [given.pop(name) for name in ("cnn", "build", "images", "labels")]
    epochs, batch_size, loss = (given.pop(name) for name in ("epochs", "batch_size", "loss"))
    with pytest.raises(error, match=message):
        train(*first, True, epochs, batch_size, "rmsprop", loss, ["accuracy"], *DENSE_ONLY, **given)


@needs_keras
def test_a_model_of_ones_own_is_trained_but_has_no_start_to_reset_to():
    import keras

    model = keras.Sequential([keras.Input((10, 10, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3, activation="softmax"))
    call = model, False, *bars(20)
    rest = 1, 20, "rmsprop", "categorical_crossentropy", ["accuracy"], *DENSE_ONLY
    with pytest.raises(ValueError, match=r"cnn must be compiled where build is False"):
        train(*call, False, *rest)
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"reset needs the initial weights.* pass reset=False"):
        train(*call, True, *rest)
    trained, _ = train(*call, False, *rest, verbose=0)
    assert trained is model
    assert iterations(model) == 1


@needs_keras
@pytest.mark.parametrize("wrong", ["imgs", "validation_data", "epochs", "callbacks"])
def test_a_refused_call_with_reset_leaves_a_trained_model_as_it_is(wrong):
    images, labels = bars(20)
    rest = "rmsprop", "categorical_crossentropy", ["accuracy"], *DENSE_ONLY
    cnn, _ = train(None, True, images, labels, True, 1, 20, *rest, verbose=0)
    before = cnn.get_weights()[0].copy()
    given = {"validation_data": 3} if wrong == "validation_data" else {}
    given |= {"callbacks": [3]} if wrong == "callbacks" else {}
    x, epochs = images[:, :3] if wrong == "imgs" else images, 0 if wrong == "epochs" else 1
    with pytest.raises((ValueError, TypeError), match=f"{wrong} must be"):
        train(cnn, False, x, labels, True, epochs, 20, *rest, **given)
    np.testing.assert_array_equal(cnn.get_weights()[0], before)
    assert iterations(cnn) == 1


@needs_keras
@pytest.mark.parametrize("metrics", ["accuracy", None])
def test_metrics_are_a_sequence(metrics):
    rest = "rmsprop", "categorical_crossentropy", metrics, *DENSE_ONLY
    with pytest.raises(TypeError, match="metrics must be a sequence of names or Keras"):
        train(None, True, *bars(6), True, 1, 6, *rest)
