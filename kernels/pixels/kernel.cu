// pixels: the crop's part of each plane + hole [h, w]  ->  f16 or f32 [3, h, w] in low..high, hole_value where hole.
// Crop, resize, colour conversion, turn, normalisation and mask in one launch and one pass over memory; byte for byte
// what docs/bundle.md says.
//
// One thread a pixel of the lying picture.  Shrinking by s costs (4s)^2 products a plane: 324 for luma from 1080 rows
// to 240, of bytes that the threads of a warp share in L1.  8-bit samples are summed in integers.  Deeper ones are
// summed in doubles, as the format says: exact everywhere, slow where doubles are (1/64 of the rate on GeForce).
#include "samples.cuh"

namespace pixels {

// 9 to 16 bits: sums in doubles in the order of the taps, float32 between the passes and behind them.
__device__ int resized_word(const Plane& plane, const Axis& across, const Axis& down, int peak, int x, int y) {
  const double* wide = static_cast<const double*>(across.weights) + x;
  const double* tall = static_cast<const double*>(down.weights) + y;
  const int left = across.first[x], top = down.first[y];
  double column = 0.0;
  for (int j = 0; j < down.taps; ++j) {
    double row = 0.0;
    for (int i = 0; i < across.taps; ++i) {
      const int sample =
          Words::read(plane, clamped(left + i, 0, plane.columns - 1), clamped(top + j, 0, plane.rows - 1));
      row = __dadd_rn(row, __dmul_rn(wide[i * across.count], sample));  // no fused product: two roundings
    }
    column = __dadd_rn(column, __dmul_rn(tall[j * down.count], static_cast<double>(static_cast<float>(row))));
  }
  return clamped(static_cast<int>(floorf(static_cast<float>(column) + 0.5f)), 0, peak);
}

__device__ void convert(const ToRgb& table, bool grey, const int (&sample)[3], int (&rgb)[3]) {
  const int y = table.luma * (sample[0] - table.black) + (1 << (table.shift - 1));
  const int u = grey ? 0 : sample[1] - table.neutral, v = grey ? 0 : sample[2] - table.neutral;
  rgb[0] = clamped((y + table.red_v * v) >> table.shift, 0, 255);
  rgb[1] = clamped((y + table.green_u * u + table.green_v * v) >> table.shift, 0, 255);
  rgb[2] = clamped((y + table.blue_u * u) >> table.shift, 0, 255);
}

__device__ void store(const PixelsCall& call, int x, int y, const int (&rgb)[3]) {
  const int columns = call.across[0].count, rows = call.down[0].count;
  const int place = turned(columns, rows, call.turns)(x, y);
  const bool blank = call.hole != nullptr && call.hole[place] != 0;
  for (int channel = 0; channel < 3; ++channel) {
    const float share = __fdiv_rn(static_cast<float>(rgb[call.bgr ? 2 - channel : channel]), 255.0f);
    const float value = blank ? call.hole_value : __fadd_rn(call.low, __fmul_rn(call.span, share));
    const size_t at = static_cast<size_t>(channel) * columns * rows + place;
    if (call.half_out)
      static_cast<__half*>(call.out)[at] = __float2half_rn(value);
    else
      static_cast<float*>(call.out)[at] = value;
  }
}

// `sample(k, chroma)` is plane k's resized sample.
template <typename Sample>
__device__ void run(const PixelsCall& call, const Sample& sample) {
  const int x = thread_x(), y = thread_y();
  if (x >= call.across[0].count || y >= call.down[0].count) return;
  int samples[3] = {0, 0, 0}, rgb[3];
  for (int k = 0; k < (call.family == GREY ? 1 : 3); ++k) samples[k] = sample(k, call.family == YUV && k > 0, x, y);
  if (call.family == RGB)
    for (int k = 0; k < 3; ++k) rgb[k] = samples[k];
  else
    convert(call.to_rgb, call.family == GREY, samples, rgb);
  store(call, x, y, rgb);
}

}  // namespace pixels

// Samples of 8 bits, of any family.
KERNEL pixels_u8(const PixelsCall call) {
  pixels::run(call, [&call](int k, int chroma, int x, int y) {
    const Plane& plane = call.planes[k];
    const auto read = [&plane](int i, int j) { return Bytes::read(plane, i, j); };
    return resized_byte(read, call.across[chroma], call.down[chroma], plane.columns, plane.rows, x, y);
  });
}

// Y'CbCr and grey of 9 to 16 bits.
KERNEL pixels_u16(const PixelsCall call) {
  pixels::run(call, [&call](int k, int chroma, int x, int y) {
    return pixels::resized_word(call.planes[k], call.across[chroma], call.down[chroma], call.peak, x, y);
  });
}

// RGB of 9 to 16 bits: taken to 8 before the resize, rounded half up.
KERNEL pixels_rgb16(const PixelsCall call) {
  pixels::run(call, [&call](int k, int chroma, int x, int y) {
    const Plane& plane = call.planes[k];
    const unsigned int peak = static_cast<unsigned int>(call.peak);
    const auto read = [&plane, peak](int i, int j) {
      return static_cast<int>((Words::read(plane, i, j) * 510u + peak) / (2 * peak));
    };
    return resized_byte(read, call.across[chroma], call.down[chroma], plane.columns, plane.rows, x, y);
  });
}
