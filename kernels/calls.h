// What each kernel is called with: one struct by value, the same bytes in CUDA, in C++ and in NumPy (layout.py).
//
// Pointers are device addresses.  A struct's members are ordered so that no compiler pads between them.
#pragma once

// One plane of samples, wherever it lies: planar, a channel of packed RGB, a half of NV12's or P010's chroma.
struct Plane {
  unsigned char* data;   // the first sample
  int pitch;             // bytes from one row to the next
  int step;              // bytes from one sample to the next
  int columns, rows;
  int shift;             // bits below the sample in its 16: 0, or 6 for P010
  int unused;
};

// How `count` samples of a resized row or column come from a plane's: docs/bundle.md, Resizing a plane.
struct Axis {
  const int* first;      // [count], the first source sample of each result
  const void* weights;   // [taps][count], int times 2^22 for 8-bit samples, else double; 0 past the filter's end
  int count, taps;
};

// Y'CbCr to RGB bytes, all times 2^shift: docs/bundle.md, Y'CbCr to RGB.
struct ToRgb {
  int shift, black, neutral, luma, red_v, green_u, green_v, blue_u;
};

// RGB bytes to Y'CbCr, all times 2^shift, each triple for R, G, B: docs/bundle.md, Composite.
struct FromRgb {
  int shift, black, neutral, peak;
  int luma[3], u[3], v[3];
};

enum Family { GREY = 0, YUV = 1, RGB = 2 };

struct PixelsCall {
  Plane planes[3];                 // the crop's part of each plane
  Axis across[2], down[2];         // of luma and of chroma, to the size of the lying picture
  const unsigned char* hole;       // [h, w] upright, not 0 where hole; null: nothing is blanked
  void* out;                       // [3, h, w] upright
  ToRgb to_rgb;
  float low, span, hole_value;     // span = high - low
  int family, peak;                // peak: the largest sample
  int turns;                       // quarter turns counter-clockwise that make the lying picture upright
  int bgr, half_out;               // whether blue comes first; whether `out` is float16 instead of float32
};

struct DilateCall {
  const unsigned char* mask;       // [mask_rows, mask_columns], not 0 where masked
  unsigned char* covered;          // scratch [rows + 2 reach, columns + 2 reach]
  unsigned int* any;               // scratch, 0 before dilate_cover
  unsigned char* hole;             // [h, w] upright, 0 or 1
  int mask_columns, mask_rows, pitch;
  int left, top, width, height;    // the crop, in pixels of the mask
  int columns, rows;               // the lying picture
  int reach;                       // iterations of a 3x3 cross
  int turns;
  int unused;
};

struct AccumulateCall {
  const void* painted;             // [3, h, w], the decoder's
  float* sum;                      // [3, h, w], red first
  unsigned char* fill;             // [3, h, w], red first, the finished picture; null: more windows follow
  float low, span;                 // span = high - low
  float weight, total;             // of this window; of all windows up to this one (not read where halving)
  int width, height;
  int bgr, half_in;                // whether blue comes first; whether `painted` is float16 instead of float32
  int first, halving;              // whether `sum` is still empty; the published average instead of the centred mean
};

struct FeatherCall {
  const unsigned char* hole;       // [h, w] upright
  unsigned short* above;           // scratch [height, width], rows to the nearest hole pixel of the column
  unsigned short* opacity;         // [height, width], 0 to 256
  int width, height;               // the crop
  int columns, rows;               // the lying picture
  int turns, feather;              // feather: 1 to 255 pixels
};

// One crop's fill on its way into a frame.
struct Layer {
  const unsigned char* fill;       // [3, h, w] upright, red first
  const unsigned char* hole;       // [h, w] upright
  const unsigned short* opacity;   // [height, width] of feather_opacity; null: 1 in the hole, 0 elsewhere
  Axis across, down;               // from the lying picture to the crop
  int left, top, width, height;    // the crop, in luma samples of the frame
  int columns, rows;               // the lying picture
  int turns, unused;
};

struct CompositeCall {
  Plane planes[3];                 // of the frame, written in place
  const Layer* layers;
  FromRgb from_rgb;
  int family, count;               // count: of layers
  int chroma_shift_x, chroma_shift_y;
  int depth;                       // log2 of full opacity: 0 without a feather, 8 with
  int left, top, columns, rows;    // the chroma cells to look at
};
