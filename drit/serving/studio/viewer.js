// The large view: two images, and a slider that lies between them.

import { $, report } from "./state.js";

let originalUrl = ""; // of the image that is translated

export function showOriginal(file) {
  if (originalUrl) URL.revokeObjectURL(originalUrl);
  $("original").src = originalUrl = URL.createObjectURL(file);
}

// left: what the slider uncovers on the left; without it the original.
export function showResult(blob, left = null, names = ["original", "result"]) {
  $("download").disabled = false;
  const before = [$("result").src, $("original").src];
  $("result").onload = () => {
    const { naturalWidth: width, naturalHeight: height } = $("result");
    document.documentElement.style.setProperty("--shape", `${width} / ${height}`);
    document.documentElement.style.setProperty("--ratio", width / height);
    for (const url of before) if (url && url !== originalUrl) URL.revokeObjectURL(url);
  };
  $("result").src = URL.createObjectURL(blob);
  $("original").src = left ? URL.createObjectURL(left) : originalUrl;
  [$("left-tag").textContent, $("right-tag").textContent] = names;
  $("original").alt = left ? `Output of ${names[0]}` : "Original image";
}

$("share").addEventListener("input", () => {
  $("compare").style.setProperty("--share", `${$("share").value}%`);
});

$("original").addEventListener("error", () => {
  if ($("original").src === originalUrl) report("This browser does not show the original; the result is right all the same.");
});
