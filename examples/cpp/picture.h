// A picture -> the input of the network: RGB as edgedense/images/decoding.py decodes it, then resized as fitting.py and
// resizing.py beside it do, to the level.
#pragma once
#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "deployed.h"

struct Picture {
  int height = 0, width = 0;
  Bytes pixels;
  void make(size_t new_height, size_t new_width) {
    if (new_height * new_width > 178956970) fail("at most 178,956,970 pixels", "more", "save it smaller");  // Pillow's
    height = int(new_height), width = int(new_width), pixels.resize(3 * new_height * new_width);
  }
};

inline Picture jpeg(const Bytes& file) {
  const std::unique_ptr<void, int (*)(tjhandle)> reader(tjInitDecompress(), tjDestroy);
  int width, height, subsampling, colours;
  if (tjDecompressHeader3(reader.get(), file.data(), file.size(), &width, &height, &subsampling, &colours))
    fail("a whole JPEG", tjGetErrorStr2(reader.get()), "save the picture again");
  if (colours == TJCS_CMYK || colours == TJCS_YCCK) fail("a JPEG in RGB or grey", "one in CMYK", "save it in RGB");
  Picture picture;
  picture.make(height, width);
  const bool told = tjDecompress2(reader.get(), file.data(), file.size(), picture.pixels.data(), width, 0, height,
                                  TJPF_RGB, TJFLAG_ACCURATEDCT);
  const string what = told ? tjGetErrorStr2(reader.get()) : "";  // other warnings are passed over, as Pillow does
  if (told && (tjGetErrorCode(reader.get()) == TJERR_FATAL || what.find("remature end") != string::npos))
    fail("a whole JPEG", what, "save the picture again");
  return picture;
}

struct Png {  // libpng jumps out of its functions: what has a destructor lies here, outside of the frame that is left
  const Bytes& file;
  size_t at = 0;
  string problem = "no memory";
  Picture picture;
  std::vector<png_bytep> rows;
  png_infop info = nullptr;
  png_structp reader = png_create_read_struct(
      PNG_LIBPNG_VER_STRING, this,
      [](png_structp png, png_const_charp message) {
        static_cast<Png*>(png_get_error_ptr(png))->problem = message;
        png_longjmp(png, 1);
      },
      [](png_structp, png_const_charp) {});
  explicit Png(const Bytes& content) : file(content) {}
  ~Png() { png_destroy_read_struct(&reader, &info, nullptr); }
  bool read() {
    if (!reader || setjmp(png_jmpbuf(reader)) || !(info = png_create_info_struct(reader))) return false;
    png_set_read_fn(reader, this, [](png_structp png, png_bytep to, size_t count) {
      auto* self = static_cast<Png*>(png_get_io_ptr(png));
      if (self->file.size() - self->at < count) png_error(png, "an end too early");
      std::copy_n(self->file.data() + self->at, count, to), self->at += count;
    });
    png_read_info(reader, info);
    png_set_palette_to_rgb(reader), png_set_expand_gray_1_2_4_to_8(reader), png_set_gray_to_rgb(reader);
    png_set_strip_16(reader), png_set_strip_alpha(reader), png_set_interlace_handling(reader);
    picture.make(png_get_image_height(reader, info), png_get_image_width(reader, info));
    png_read_update_info(reader, info);
    for (int y = 0; y < picture.height; y++) rows.push_back(&picture.pixels[3 * size_t(picture.width) * y]);
    png_read_image(reader, rows.data());
    png_read_end(reader, nullptr);
    return true;
  }
};

inline Picture decoded(const Bytes& file) {
  if (file.size() > 2 && file[0] == 0xff && file[1] == 0xd8) return jpeg(file);
  if (file.size() < 8 || png_sig_cmp(file.data(), 0, 8)) fail("a JPEG or a PNG", "another kind of file");
  Png png(file);
  if (!png.read()) fail("a whole PNG", png.problem, "save the picture again");
  return std::move(png.picture);
}

struct Tap {  // two places along one side of a picture, and the share of the second
  size_t low, high;
  float share;
};

// The pixels from `start` on, `size` of them, become `resized`, of which `length` are wanted, from `first` on.
inline std::vector<Tap> taps(int start, int size, int resized, int first, int length) {
  const float scale = float(size) / float(resized);
  std::vector<Tap> found;
  for (int i = first; i < first + length; i++) {
    const float position = (float(i) + 0.5f) * scale - 0.5f, floor = std::floor(position);
    const int low = std::max(int(floor), 0), high = std::min(int(std::ceil(position)), size - 1);
    found.push_back({size_t(start + low), size_t(start + high), position - floor});
  }
  return found;
}

inline std::vector<Tap> side(const Recipe& recipe, int size, int other, int length, int other_length) {
  if (recipe.shorter_side) {  // resized as a whole until its shorter side has so many pixels, then the middle
    const auto longer = int64_t(double(int64_t(recipe.shorter_side) * std::max(size, other)) / std::min(size, other));
    if (longer > 1 << 24) fail("a picture of a usual shape", std::to_string(size) + " to " + std::to_string(other));
    const int resized = size <= other ? recipe.shorter_side : int(longer);
    return taps(0, size, resized, int(std::nearbyint((resized - length) / 2.0)), length);
  }
  int64_t cut = size;  // the largest rectangle in the middle that has the input's shape
  if (recipe.crop) cut = std::clamp<int64_t>(int64_t(other) * length / other_length, 1, size);
  return taps(int((size - cut) / 2), int(cut), length, 0, length);
}

inline Bytes prepared(const Picture& picture, const Recipe& recipe) {
  const auto mix = [](float low, float high, float share) { return low + (high - low) * share; };
  const auto rows = side(recipe, picture.height, picture.width, recipe.height, recipe.width);
  const auto columns = side(recipe, picture.width, picture.height, recipe.width, recipe.height);
  Bytes found;
  for (const Tap& row : rows)
    for (const Tap& column : columns)
      for (size_t colour = 0; colour < 3; colour++) {
        const auto at = [&](size_t y, size_t x) { return float(picture.pixels[3 * (y * picture.width + x) + colour]); };
        const float left = mix(at(row.low, column.low), at(row.high, column.low), row.share);
        const float right = mix(at(row.low, column.high), at(row.high, column.high), row.share);
        found.push_back(static_cast<unsigned char>(mix(left, right, column.share) + 0.5f));
      }
  return found;
}
