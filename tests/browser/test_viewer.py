"""The viewer in a real browser: OHIF where `scripts/fetch_viewer` put it, and the page of our own."""

import io
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from fhir_imaging_ai.looking.picture import Seen, Square
from fhir_imaging_ai.looking.triage import Said
from fhir_imaging_ai.models.loading import found
from fhir_imaging_ai.outputs.objects import report
from PIL import Image
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicomweb.viewer.folder import files_of, place_of
from tests.integration.running import running
from tests.plugins.dicomweb.pixels.files import image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("viewer")]
SLICES = 6
GRAPHICS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def stack(**more: Any) -> list[bytes]:
    """A CT of a body in which something bright goes from left to right, slice by slice."""
    same: dict[str, Any] = {
        "StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(),
        "PatientID": "v1", "PatientName": "Otieno^Achieng", "StudyDate": "20261101", "StudyTime": "101500",
        "StudyID": "1", "SeriesNumber": "1", "AccessionNumber": "A1", "PixelSpacing": [1, 1], "SliceThickness": "3",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "RescaleSlope": "1", "RescaleIntercept": "0",
        "WindowCenter": "40", "WindowWidth": "400", "SeriesDescription": "Abdomen", "StudyDescription": "CT abdomen",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    } | more  # fmt: skip
    y, x = np.mgrid[0:128, 0:128]
    made = []
    for number in range(SLICES):
        pixels = np.full((128, 128), -1000, np.int16)
        pixels[(y - 64) ** 2 + (x - 64) ** 2 < 50**2] = 40
        pixels[(y - 64) ** 2 + (x - 34 - 12 * number) ** 2 < 8**2] = 700
        place = [0, 0, float(number * 3)]
        made.append(image(pixels, InstanceNumber=str(number + 1), ImagePositionPatient=place, **same))
    return made


def reported(content: bytes) -> bytes:
    """A structured report with a region on one of the slices."""
    manifest = found("synthetic-nodules", "", ()).manifest
    activation = np.zeros((32, 32), np.float32)
    activation[10:20, 8:20] = 1
    seen = Seen(dcmread(io.BytesIO(content)), np.zeros((128, 128), np.float32), (), np.zeros(1))
    said = Said("prioritised", (manifest.labels[1],), 0.9, activation, Square(0, 0, 128))
    return report(seen, said, manifest)


@dataclass(frozen=True, slots=True)
class Site:
    """A server with one study."""

    root: str
    study: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("viewer")
    slices = stack()
    with running(folder / "data") as server:
        root = server.base.removesuffix("/fhir")
        for each in (*slices, reported(slices[2])):
            headers = {"content-type": "application/dicom", "accept": "application/dicom+json"}
            assert httpx.post(f"{root}/dicomweb/studies", content=each, headers=headers).status_code == 200
        yield Site(root, str(dcmread(io.BytesIO(slices[0]), stop_before_pixels=True).StudyInstanceUID))


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.async_api")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=GRAPHICS)
        made = await browser.new_page(viewport={"width": 1000, "height": 700})
        made.wrong = []
        made.on("response", lambda answer: made.wrong.append(answer.url) if answer.status >= 400 else None)
        yield made
        await browser.close()


async def seen(page: Any) -> Any:
    """Return the pixels of the middle of the viewport, without its texts."""
    shot = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    return np.asarray(shot, int)[120:620, 300:940]


def bright(pixels: Any) -> tuple[int, float]:
    """Return how many pixels are white, and in which column they lie on average."""
    white = (pixels > 230).all(-1)
    return int(white.sum()), float(np.nonzero(white)[1].mean()) if white.any() else -1.0


@pytest.mark.skipif(not files_of(place_of("")), reason="OHIF is not there: scripts/fetch_viewer brings it")
async def _opened(page: Any, url: str, text: str) -> None:
    """Open a page of OHIF until it shows a text: on a busy machine it now and then stops while it loads its parts."""
    late = pytest.importorskip("playwright.async_api").TimeoutError
    for patience in (30_000, 30_000, 60_000):
        await page.goto(url)
        try:
            await page.wait_for_selector(f"text={text}", timeout=patience)
        except late:
            continue
        return
    raise AssertionError(f"{url} does not show {text}")


async def test_ohif_lists_studies_scrolls_a_stack_changes_its_window_and_shows_a_report(site: Site, page: Any) -> None:
    await page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
    await _opened(page, f"{site.root}/viewer/", "Otieno")
    await _opened(page, f"{site.root}/viewer/viewer?StudyInstanceUIDs={site.study}", "Abdomen")
    before = await _settled(page, lambda pixels: bright(pixels)[0] > 1000)

    box = await page.locator("canvas").first.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(*middle)
    await page.mouse.wheel(0, 100)
    column = bright(before)[1]
    after = await _settled(page, lambda pixels: bright(pixels)[0] > 1000 and abs(bright(pixels)[1] - column) > 20)
    grey = np.median(after[230:270, 100:540])

    await page.mouse.down()
    await page.mouse.move(middle[0] + 250, middle[1] - 40, steps=5)
    await page.mouse.up()
    await _settled(page, lambda pixels: abs(np.median(pixels[230:270, 100:540]) - grey) > 10)

    await page.locator('[data-cy="study-browser-thumbnail-no-image"]').first.dblclick()
    shown = await _settled(page, lambda pixels: _green(pixels) > 200)
    assert _green(shown) > 200  # the outline of the region
    assert [url for url in page.wrong if "/dicomweb/" in url or "/viewer/" in url] == []


async def test_the_page_of_our_own_lists_scrolls_and_changes_the_window(site: Site, page: Any) -> None:
    await page.goto(f"{site.root}/viewer/simple")
    await page.click("button:has-text('Otieno')")
    await page.wait_for_selector("#caption:has-text('of 6')")
    await page.wait_for_function("document.getElementById('picture').naturalWidth > 700")
    first = await _picture(page)
    assert await page.inner_text("#caption") == "Image 3 of 6"
    await page.hover("#picture")
    await page.mouse.wheel(0, 100)
    await page.wait_for_selector("#caption:has-text('Image 4 of 6')")
    await page.wait_for_timeout(300)
    second = await _picture(page)
    assert bright(second)[1] - bright(first)[1] > 40  # 12 of 128 columns further
    await page.select_option("#window", label="CT bone")
    await page.wait_for_selector("#caption:has-text('300,1500')")
    await page.wait_for_timeout(300)
    assert abs((await _picture(page)).mean() - second.mean()) > 5
    await page.click("#series button:has-text('SR')")
    await page.wait_for_selector("#report:not([hidden])")
    frame = page.frame_locator("#report")
    await frame.locator("text=Probability by the model").wait_for(timeout=10_000)
    assert page.wrong == []


async def _settled(page: Any, holds: Any) -> Any:
    """Wait until a screenshot is as it should be; return its pixels."""
    for _ in range(60):
        pixels = await seen(page)
        if holds(pixels):
            return pixels
        await page.wait_for_timeout(250)
    raise AssertionError("the picture never became what it should be")


def _green(pixels: Any) -> int:
    return int(((pixels[..., 1] > 180) & (pixels[..., 0] < 90) & (pixels[..., 2] < 90)).sum())


async def _picture(page: Any) -> Any:
    shot = await page.locator("#picture").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), int)
