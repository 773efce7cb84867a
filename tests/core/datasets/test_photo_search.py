"""Photos found by the names that other programs wrote down."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from engine.core.datasets.folder_index import FolderIndex
from engine.core.datasets.name_spelling import readable
from engine.core.datasets.photo_search import FoundPhotos, find_photos


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def search(folder: Path, *names: str) -> FoundPhotos:
    return find_photos(FolderIndex(folder), names, [folder / "images", folder])


def places(found: FoundPhotos, folder: Path) -> list[str]:
    return [found.paths[name].resolve().relative_to(folder.resolve()).as_posix() for name in found.names if name in found.paths]


@pytest.mark.parametrize("name", [
    "images/a b.JPG", "images/a b.png", "images/a b", "a b.jpg", "IMAGES\\A B.jpg", ".\\images\\a b.jpg", "./images/./a b.jpg",
    "C:\\Users\\me\\banana\\images\\a b.jpg", "/home/me/banana/images/a b.jpg", "\\\\server\\share\\images\\a b.jpeg", "../images/a b.jpg",
    "images/a%20b.jpg", "other/folder/a b.jpg", " images/a b.jpg ",
])
def test_one_photo_under_many_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, "images/a b.jpg", "images/c.jpg", "images/._a b.jpg", "masks/a b.jpg", "depth/a b.png", "__MACOSX/images/a b.jpg")
    assert places(search(tmp_path, name), tmp_path) == ["images/a b.jpg"]


@pytest.mark.parametrize("there, expected", [
    (["images_2", "images_4"], "images_2"), (["images_4"], "images_4"), (["images_8", "images_4"], "images_4"),
    (["images", "images_2"], "images"), (["deep/images_2", "deep/images_4"], "deep/images_2"),
], ids=str)
@pytest.mark.parametrize("prefix", ["", "images/"])
def test_smaller_copies_the_largest_first(tmp_path: Path, there: list[str], expected: str, prefix: str) -> None:
    put(tmp_path, *(f"{folder}/{name}.jpg" for folder in there for name in "abc"))
    assert places(search(tmp_path, *(f"{prefix}{name}.jpg" for name in "abc")), tmp_path) == [f"{expected}/{name}.jpg" for name in "abc"]


@pytest.mark.parametrize("prefix", ["", "images/"])
def test_smaller_copies_the_fullest_first(tmp_path: Path, prefix: str) -> None:
    put(tmp_path, "images_2/a.jpg", *(f"images_4/{name}.jpg" for name in "abcd"))
    assert places(search(tmp_path, *(f"{prefix}{name}.jpg" for name in "abcd")), tmp_path) == [f"images_4/{name}.jpg" for name in "abcd"]


def test_photos_of_one_name_in_folders_that_no_name_tells_apart_are_not_guessed(tmp_path: Path) -> None:
    put(tmp_path, "left/1.jpg", "right/1.jpg")
    found = search(tmp_path, "1.jpg")
    assert found.missing == ("1.jpg",) and "1 in left (1.jpg), 1 in right (1.jpg)" in found.lies_there
    assert places(search(tmp_path, "x/left/1.png", "x/right/1.png"), tmp_path) == ["left/1.jpg", "right/1.jpg"]


def test_a_photo_is_not_two_images(tmp_path: Path) -> None:
    put(tmp_path, "images/1.jpg")
    assert search(tmp_path, "left/1.jpg", "right/1.jpg").missing == ("left/1.jpg", "right/1.jpg")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_forms_of_unicode(tmp_path: Path, form: str) -> None:
    other = "NFD" if form == "NFC" else "NFC"
    put(tmp_path, unicodedata.normalize(other, "images/Küche É.jpg"))  # type: ignore[arg-type]
    assert not search(tmp_path, unicodedata.normalize(form, "Küche É.jpg")).missing  # type: ignore[arg-type]


@pytest.mark.parametrize("page, names", [
    ("cp1252", ["Küche 1.jpg", "Süd.jpg"]), ("gbk", ["图片1.jpg", "图片2.jpg"]), ("cp932", ["写真1.jpg"]), ("cp949", ["그림1.jpg"]),
    ("cp1251", ["Кухня.jpg"]), ("big5", ["圖片.jpg"]), ("cp437", ["Küche.jpg"]),
])
@pytest.mark.parametrize("way", ["bytes", "misread"])
def test_names_in_code_pages(tmp_path: Path, page: str, names: list[str], way: str) -> None:
    """As bytes that are no UTF-8, and as UTF-8 that a program took for the code page of its computer."""
    put(tmp_path, *(f"images/{name}" for name in names))
    given = [name.encode(page).decode("utf-8", "surrogateescape") if way == "bytes" else name.encode().decode(page, "ignore")
             for name in names]
    if any(name.encode().decode(page, "ignore").encode(page) != name.encode() for name in names) and way == "misread":
        pytest.skip("this code page loses letters of these names")
    assert places(search(tmp_path, *given), tmp_path) == [f"images/{name}" for name in names]
    assert all(readable(name).encode() for name in given)


def test_names_that_an_archive_has_spoilt_on_the_disk(tmp_path: Path) -> None:
    put(tmp_path, "images/" + "Café.jpg".encode("cp437").decode("cp1252"))
    assert not search(tmp_path, "Café.jpg").missing


def test_the_sentence_tells_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    put(tmp_path, "photos of the day/x.jpg", "photos of the day/y.jpg")
    found = search(tmp_path, "a.jpg", "b.jpg")
    assert found.looked_for == "Looked for a.jpg, b.jpg in images, " + str(tmp_path) + " and anywhere below, with any case and ending"
    assert found.lies_there == f"{tmp_path} holds 2 images: 2 in photos of the day (x.jpg, y.jpg)"
    assert search(put(tmp_path / "empty"), "a.jpg").lies_there == f"{tmp_path / 'empty'} holds no images"


def test_nothing_is_searched_where_all_is_in_place(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg")
    index = FolderIndex(tmp_path)
    assert find_photos(index, ["images/a.jpg"]).paths and "files" not in vars(index)


def test_linked_folders_that_lead_in_a_circle(tmp_path: Path) -> None:
    put(tmp_path, "set/deep/a.jpg")
    try:
        (tmp_path / "set" / "again").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert places(search(tmp_path, "A.JPG"), tmp_path) == ["set/deep/a.jpg"]
