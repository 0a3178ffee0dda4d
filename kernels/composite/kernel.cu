// composite: what the decoder painted of each crop + the frame  ->  the frame, holes filled, in its own planes.
//
// accumulate       decoder [3, h, w] in low..high -> sum f32 [3, h, w]; with the last window the fill, u8 [3, h, w].
//                  One thread a pixel; 12 B in, 12 B out and in, 3 B out: memory-bound.
// feather_above,   hole [h, w] -> opacity u16 [crop], 0..256, by the exact distance to the hole: first along columns,
// feather_opacity  then along rows.  At most 2 f + 1 steps a pixel each, f the feather.
// composite_u8,    fills + holes -> the frame's samples.  One thread a chroma cell (1 to 16 luma samples), that resizes
// composite_u16    the fills of the crops that show there: 20 products a channel and crop where a fill grows.
//
// Sums over crops and cells stay in registers: one pass, and nothing beside the planes is written.  Whole numbers
// throughout, but for the sum over windows, which the format has in float32.
#include "samples.cuh"

namespace composite {

struct Mix {
  int fill[3];
  int opacity;  // 0 to 2^depth
};

__device__ inline float painted_at(const AccumulateCall& call, size_t at) {
  return call.half_in ? __half2float(static_cast<const __half*>(call.painted)[at])
                      : static_cast<const float*>(call.painted)[at];
}

// Whether the spread hole holds pixel (x, y) of a crop of width x height.
__device__ inline bool in_hole(const unsigned char* hole, int x, int y, int width, int height, int columns, int rows,
                               int turns) {
  const int cell_x = nearest_cell(x, width, columns), cell_y = nearest_cell(y, height, rows);
  return hole[turned(columns, rows, turns)(cell_x, cell_y)] != 0;
}

// How much a crop of n pixels counts in its pixel x where crops overlap: 1 at the edge, 128 in the middle.
__device__ inline int ramp(int x, int n) { return 1 + 127 * min(2 * x + 1, 2 * (n - x) - 1) / n; }

__device__ inline int opacity_of(const Layer& layer, int x, int y) {
  if (layer.opacity != nullptr) return layer.opacity[static_cast<size_t>(y) * layer.width + x];
  return in_hole(layer.hole, x, y, layer.width, layer.height, layer.columns, layer.rows, layer.turns);
}

__device__ inline int fill_of(const Layer& layer, int channel, int x, int y) {
  const unsigned char* fill = layer.fill + static_cast<size_t>(channel) * layer.columns * layer.rows;
  const Turn turn = turned(layer.columns, layer.rows, layer.turns);
  const auto read = [=](int i, int j) { return static_cast<int>(fill[turn(i, j)]); };
  return resized_byte(read, layer.across, layer.down, layer.columns, layer.rows, x, y);
}

// Fill and opacity of pixel (x, y) of the frame: the mean of the crops that show there, weighted by their ramps.
__device__ Mix mixed(const CompositeCall& call, int x, int y) {
  Mix mix = {{0, 0, 0}, 0};
  unsigned long long sums[3] = {0, 0, 0}, weights = 0;
  int shown = 0;
  for (int k = 0; k < call.count; ++k) {
    const Layer& layer = call.layers[k];
    const int column = x - layer.left, row = y - layer.top;
    if (column < 0 || column >= layer.width || row < 0 || row >= layer.height) continue;
    const int opacity = opacity_of(layer, column, row);
    if (opacity == 0) continue;
    const unsigned long long weight = ramp(column, layer.width) * ramp(row, layer.height) * opacity;
    for (int channel = 0; channel < 3; ++channel) {
      mix.fill[channel] = fill_of(layer, channel, column, row);
      sums[channel] += weight * mix.fill[channel];
    }
    weights += weight;
    mix.opacity = max(mix.opacity, opacity);
    ++shown;
  }
  if (shown > 1)  // of one crop the mean is its fill, and 64-bit divisions are dear
    for (int channel = 0; channel < 3; ++channel)
      mix.fill[channel] = static_cast<int>((2 * sums[channel] + weights) / (2 * weights));
  return mix;
}

template <typename Samples>
__device__ void blend(const CompositeCall& call, int plane, int x, int y, int level, int opacity) {
  const int full = 1 << call.depth;
  const int source = Samples::read(call.planes[plane], x, y);
  Samples::write(call.planes[plane], x, y, (source * (full - opacity) + level * opacity + full / 2) >> call.depth);
}

// Luma, grey, or the three planes of RGB.
template <typename Samples>
__device__ void write_pixel(const CompositeCall& call, const Mix& mix, int x, int y) {
  const FromRgb& table = call.from_rgb;
  if (call.family == RGB) {
    for (int k = 0; k < 3; ++k)
      blend<Samples>(call, k, x, y, (mix.fill[k] * 2 * table.peak + 255) / 510, mix.opacity);
    return;
  }
  int level = 1 << (table.shift - 1);
  for (int k = 0; k < 3; ++k) level += table.luma[k] * mix.fill[k];
  blend<Samples>(call, 0, x, y, (level >> table.shift) + table.black, mix.opacity);
}

// `sums`: of opacity times R, G, B over the cell; `inside`: of the opacities.
template <typename Samples>
__device__ void write_chroma(const CompositeCall& call, const int (&sums)[3], int inside, int x, int y) {
  const FromRgb& table = call.from_rgb;
  const int cell = call.chroma_shift_x + call.chroma_shift_y + call.depth;
  const int outside = (1 << cell) - inside, shift = table.shift + cell;
  for (int plane = 1; plane < 3; ++plane) {
    const int* weights = plane == 1 ? table.u : table.v;
    const long long source = Samples::read(call.planes[plane], x, y);
    long long level = (outside * source + static_cast<long long>(inside) * table.neutral) * (1LL << table.shift);
    for (int k = 0; k < 3; ++k) level += static_cast<long long>(weights[k]) * sums[k];
    level = (level + (1LL << (shift - 1))) >> shift;
    Samples::write(call.planes[plane], x, y, clamped(static_cast<int>(level), 0, table.peak));
  }
}

template <typename Samples>
__device__ void run(const CompositeCall& call) {
  if (thread_x() >= call.columns || thread_y() >= call.rows) return;
  const int cell_x = call.left + thread_x(), cell_y = call.top + thread_y();
  const int wide = 1 << call.chroma_shift_x, tall = 1 << call.chroma_shift_y;
  int sums[3] = {0, 0, 0}, inside = 0;
  for (int k = 0; k < wide * tall; ++k) {
    const int x = cell_x * wide + k % wide, y = cell_y * tall + k / wide;
    // a cell that the frame's edge cuts counts its last row or column again
    const int column = min(x, call.planes[0].columns - 1), row = min(y, call.planes[0].rows - 1);
    const Mix mix = mixed(call, column, row);
    if (mix.opacity == 0) continue;
    if (column == x && row == y) write_pixel<Samples>(call, mix, x, y);
    inside += mix.opacity;
    for (int channel = 0; channel < 3; ++channel) sums[channel] += mix.opacity * mix.fill[channel];
  }
  if (call.family == YUV && inside != 0) write_chroma<Samples>(call, sums, inside, cell_x, cell_y);
}

}  // namespace composite

// One window's picture into the sum of a frame's; the sum into bytes behind the last (docs/bundle.md, Schedules).
KERNEL accumulate(const AccumulateCall call) {
  const int x = thread_x(), y = thread_y();
  if (x >= call.width || y >= call.height) return;
  const size_t area = static_cast<size_t>(call.width) * call.height, place = static_cast<size_t>(y) * call.width + x;
  for (int channel = 0; channel < 3; ++channel) {
    const size_t at = channel * area + place;
    const float value = composite::painted_at(call, (call.bgr ? 2 - channel : channel) * area + place);
    float level = __fmul_rn(__fdiv_rn(__fsub_rn(value, call.low), call.span), 255.0f);
    level = call.halving ? truncf(level) : __fmul_rn(level, call.weight);
    if (!call.first) level = __fadd_rn(call.sum[at], level);
    if (!call.first && call.halving) level = __fmul_rn(level, 0.5f);
    call.sum[at] = level;
    if (call.fill == nullptr) continue;
    const float whole = call.halving ? truncf(level) : floorf(__fadd_rn(__fdiv_rn(level, call.total), 0.5f));
    call.fill[at] = static_cast<unsigned char>(fminf(fmaxf(whole, 0.0f), 255.0f));
  }
}

// Rows from each pixel of the crop to the nearest hole pixel of its column, feather + 1 where that is farther.
KERNEL feather_above(const FeatherCall call) {
  const int x = thread_x(), y = thread_y();
  if (x >= call.width || y >= call.height) return;
  int distance = 0;
  for (; distance <= call.feather; ++distance) {
    const int up = max(y - distance, 0), down = min(y + distance, call.height - 1);  // an edge pixel was seen already
    if (composite::in_hole(call.hole, x, up, call.width, call.height, call.columns, call.rows, call.turns) ||
        composite::in_hole(call.hole, x, down, call.width, call.height, call.columns, call.rows, call.turns))
      break;
  }
  call.above[static_cast<size_t>(y) * call.width + x] = static_cast<unsigned short>(distance);
}

// floor(256 (1 - d / (feather + 1)) + 1/2) for a distance d of up to `feather`, 0 beyond.
KERNEL feather_opacity(const FeatherCall call) {
  const int x = thread_x(), y = thread_y();
  if (x >= call.width || y >= call.height) return;
  const size_t row = static_cast<size_t>(y) * call.width;
  const int beyond = call.feather + 1;
  int square = beyond * beyond;
  for (int step = -call.feather; step <= call.feather; ++step) {
    const int column = x + step;
    if (column < 0 || column >= call.width) continue;
    const int above = call.above[row + column];
    square = min(square, step * step + above * above);
  }
  const double share = __ddiv_rn(__dsqrt_rn(static_cast<double>(square)), static_cast<double>(beyond));
  const double opacity = floor(__dadd_rn(__dmul_rn(256.0, __dsub_rn(1.0, share)), 0.5));
  call.opacity[row + x] = square > call.feather * call.feather ? 0 : static_cast<unsigned short>(opacity);
}

// Frames of 8 bits, and of 9 to 16.
KERNEL composite_u8(const CompositeCall call) { composite::run<Bytes>(call); }
KERNEL composite_u16(const CompositeCall call) { composite::run<Words>(call); }
