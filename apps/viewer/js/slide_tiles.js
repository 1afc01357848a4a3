// The slide as OpenSeadragon asks for it: levels as they are stored, each tile where it lies.

const tileSource = (state) => {
  const { info } = state;
  const levels = [...info.levels].reverse(); // OpenSeadragon counts from the coarsest
  const height = info.height / info.width;
  const columns = ([width, , tile]) => Math.ceil(width / tile);
  const rows = ([, tall, , tile]) => Math.ceil(tall / tile);
  const part = (level, x, y) => {
    const [width, tall, tileWidth, tileHeight] = levels[level];
    const [left, top] = [x * tileWidth, y * tileHeight];
    return [left, top, Math.min(tileWidth, width - left), Math.min(tileHeight, tall - top)];
  };
  return {
    width: info.width,
    height: info.height,
    tileWidth: levels[levels.length - 1][2],
    tileHeight: levels[levels.length - 1][3],
    tileOverlap: 0,
    minLevel: 0,
    maxLevel: levels.length - 1,
    getLevelScale: (level) => levels[level][0] / info.width,
    getTileWidth: (level) => levels[level][2],
    getTileHeight: (level) => levels[level][3],
    getNumTiles: (level) => new OpenSeadragon.Point(columns(levels[level]), rows(levels[level])),
    getTileAtPoint: (level, point) => {
      const [width, tall, tileWidth, tileHeight] = levels[level];
      const x = Math.floor((point.x * width) / tileWidth);
      const y = Math.floor(((point.y / height) * tall) / tileHeight);
      const within = (at, count) => Math.min(Math.max(at, 0), count - 1);
      return new OpenSeadragon.Point(
        within(x, columns(levels[level])), within(y, rows(levels[level])));
    },
    getTileBounds: (level, x, y, isSource) => {
      const [left, top, across, down] = part(level, x, y);
      if (isSource) return new OpenSeadragon.Rect(0, 0, across, down);
      const [width, tall] = levels[level];
      return new OpenSeadragon.Rect(
        left / width, (top / tall) * height, across / width, (down / tall) * height);
    },
    // A function: the ticket is the one of the moment, and the tile keeps its name.
    getTileUrl: (level, x, y) => () =>
      state.address(`slide/${levels.length - 1 - level}/${x}_${y}.jpg`),
    getTileHashKey: (level, x, y) => `${state.data.api}/${level}/${x}_${y}`,
  };
};

// One classic script for the page, however many slides are open.
const openSeadragon = (url) => {
  window.medconsistOpenSeadragon ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = new URL(url, location.origin).href;
    script.onload = () => done(window.OpenSeadragon);
    script.onerror = () => fail(new Error("the deep zoom library did not load"));
    document.head.append(script);
  });
  return window.medconsistOpenSeadragon;
};

/** The library, and what the server knows of the slide. */
const readSlide = async (state) => {
  await openSeadragon(state.data.vendor["openseadragon.min.js"]);
  const answer = await fetch(state.address("slide"));
  if (!answer.ok) throw new Error(await answer.text());
  state.info = await answer.json();
};

/** A viewer of the slide in a pane; the first has the mini-map and the marks of the clock. */
const openViewer = async (state) => {
  const isFirst = state.number === 1;
  const viewer = OpenSeadragon({
    element: state.part("osd"),
    tileSources: tileSource(state),
    drawer: "canvas",
    prefixUrl: "",
    showNavigationControl: false,
    showNavigator: isFirst,
    navigatorAutoFade: false,
    navigatorPosition: "TOP_RIGHT",
    navigatorSizeRatio: 0.16,
    navigatorMaintainSizeRatio: true,
    navigatorBackground: "#0b0d10",
    navigatorBorderColor: "#5b6772",
    navigatorDisplayRegionColor: "#f2c14e",
    keyboardNavEnabled: false, // its f mirrors the slide, its r turns it
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false, flickEnabled: false },
    gestureSettingsTouch: { pinchRotate: false },
    animationTime: 0.35,
    springStiffness: 9,
    visibilityRatio: 0.25,
    minZoomImageRatio: 0.6,
    maxZoomPixelRatio: 8,
    zoomPerScroll: 1.3,
    preserveImageSizeOnResize: !isFirst, // its magnification is that of the first
    imageLoaderLimit: 6,
    maxImageCacheCount: isFirst ? 200 : 60, // tiles in memory, about 1 MiB each
    timeout: 60000,
    tileRetryMax: 2,
    tileRetryDelay: 1500,
    placeholderFillStyle: "#14181d",
    subPixelRoundingForTransparency: OpenSeadragon.SUBPIXEL_ROUNDING_OCCURRENCES.NEVER,
  });
  if (isFirst) viewer.addOnceHandler("tile-drawn", () => performance.mark("medconsist drawn"));
  viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; });
  await new Promise((done, fail) => {
    viewer.addOnceHandler("open", done);
    viewer.addOnceHandler("open-failed", (event) => fail(new Error(event.message)));
  });
  return viewer;
};
