/* Matrix products of 16-bit models with weights of 4 and 8 bits, for few rows: weights are widened in registers.
 *
 * Written with the vector extensions of GCC and Clang, so that one text serves every processor they know. Inputs and
 * results are float32 or bfloat16, sums float32. `rows` of inputs lie one after the other; outputs are shared among
 * threads. Returned is 0, or 1 when there is no memory.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

typedef float floats __attribute__((vector_size(32)));
typedef uint32_t words __attribute__((vector_size(32)));
typedef int32_t ints __attribute__((vector_size(32)));
typedef int8_t bytes __attribute__((vector_size(8)));
typedef uint8_t codes __attribute__((vector_size(8)));
#define INLINE static inline __attribute__((always_inline))
enum { INT8 = 0, FP8 = 1 };
enum { FLOAT32 = 0, BFLOAT16 = 1 };

INLINE floats load(const float *from) { floats v; memcpy(&v, from, 32); return v; }
INLINE words load_words(const uint32_t *from) { words v; memcpy(&v, from, 32); return v; }
INLINE float total(floats v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

/* Inputs as floats: themselves, or widened into memory that is freed by the caller. */
static const float *wide_inputs(const void *x, int type, long count, float *room) {
    if (type == FLOAT32) return x;
    const uint16_t *from = x;
    uint32_t *to = (uint32_t *)room;
    for (long at = 0; at < count; at++) to[at] = (uint32_t)from[at] << 16;
    return room;
}

/* One result in its type; bfloat16 is rounded to the nearest, and to even in between. */
INLINE void put(void *y, int type, long at, float value) {
    if (type == FLOAT32) {
        ((float *)y)[at] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t rounded = value != value ? 0x7fc00000 : bits + 0x7fff + ((bits >> 16) & 1);
    ((uint16_t *)y)[at] = (uint16_t)(rounded >> 16);
}

/* A scale of 16 bits: bfloat16, or float16 with its exponent moved by a factor. */
INLINE float scale_of(uint16_t stored, int is_float16) {
    uint32_t bits = is_float16 ? (uint32_t)(stored & 0x8000) << 16 | (uint32_t)(stored & 0x7fff) << 13
                               : (uint32_t)stored << 16;
    float wide;
    memcpy(&wide, &bits, 4);
    return is_float16 ? wide * 0x1p112f : wide;
}

/* Eight words hold 64 codes of an output: bits 4s to 4s+3 of word j are code 8s+j. */
INLINE void int4_block(const int OUTS, const int ROWS, const int STEPS, const uint32_t *packed, const uint16_t *scales,
                       const uint8_t *zeros, int zero, int is_float16, const float *x, const float *sums, void *y,
                       int type, long place, int inputs, int outputs, int group) {
    const int groups = inputs / group, words_of_row = inputs / 8;
    floats all[4][4];
    float shift[4][4];
    for (int o = 0; o < OUTS; o++)
        for (int r = 0; r < ROWS; r++) all[o][r] = (floats){0}, shift[o][r] = 0;
    for (int g = 0; g < groups; g++) {
        floats part[4][4];
        for (int o = 0; o < OUTS; o++)
            for (int r = 0; r < ROWS; r++) part[o][r] = (floats){0};
        for (int at = g * group; at < (g + 1) * group; at += 8 * STEPS) {
            const int first = STEPS == 8 ? 0 : at / 8 % 8; /* a group of 32 may begin in the middle of the words */
            words held[4];
            for (int o = 0; o < OUTS; o++)
                held[o] = load_words(packed + (long)o * words_of_row + at / 64 * 8) >> (4 * first);
#pragma GCC unroll 8
            for (int s = 0; s < STEPS; s++) {
                for (int o = 0; o < OUTS; o++) {
                    floats w = __builtin_convertvector((ints)((held[o] >> (4 * s)) & 15), floats);
                    for (int r = 0; r < ROWS; r++) part[o][r] += w * load(x + (long)r * inputs + at + 8 * s);
                }
            }
        }
        for (int o = 0; o < OUTS; o++) {
            const float scale = scale_of(scales[(long)o * groups + g], is_float16);
            const float middle = scale * (zeros ? zeros[(long)o * groups + g] : zero);
            for (int r = 0; r < ROWS; r++) {
                all[o][r] += part[o][r] * scale;
                shift[o][r] += middle * sums[(long)r * groups + g];
            }
        }
    }
    for (int o = 0; o < OUTS; o++)
        for (int r = 0; r < ROWS; r++) put(y, type, place + (long)r * outputs + o, total(all[o][r]) - shift[o][r]);
}

int mixprec_int4(const uint32_t *packed, const uint16_t *scales, const uint8_t *zeros, int zero, int is_float16,
                 const void *inputs_of, void *y, int type, int rows, int inputs, int outputs, int group, int threads) {
    const int groups = inputs / group;
    float *room = malloc(((size_t)rows * inputs + (size_t)rows * groups) * sizeof(float));
    if (!room) return 1;
    const float *x = wide_inputs(inputs_of, type, (long)rows * inputs, room);
    float *sums = room + (long)rows * inputs;
    for (long g = 0; g < (long)rows * groups; g++) { /* of each group's inputs: what its zero point is taken from */
        floats sum = {0};
        for (int at = 0; at < group; at += 8) sum += load(x + g * group + at);
        sums[g] = total(sum);
    }
#define ROWS_OF(ROWS, STEPS)                                                                                           \
    int4_block(4, ROWS, STEPS, p, s, z, zero, is_float16, x + (long)r * inputs, sums + (long)r * groups,               \
               y, type, (long)r * outputs + o, inputs, outputs, group)
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int o = 0; o < outputs; o += 4) {
        const uint32_t *p = packed + (long)o * (inputs / 8);
        const uint16_t *s = scales + (long)o * groups;
        const uint8_t *z = zeros ? zeros + (long)o * groups : 0;
        int r = 0;
        if (group == 32) {
            for (; r + 2 <= rows; r += 2) ROWS_OF(2, 4);
            if (r < rows) ROWS_OF(1, 4);
        } else {
            for (; r + 2 <= rows; r += 2) ROWS_OF(2, 8);
            if (r < rows) ROWS_OF(1, 8);
        }
    }
    free(room);
    return 0;
}

/* Eight weights as floats; those of float8 e4m3 are too small by a factor of 2 to the 120, which scales have in them. */
INLINE floats widened(const int KIND, const uint8_t *from) {
#ifdef __AVX2__ /* which GCC does not find by itself */
    const __m128i eight = _mm_loadl_epi64((const __m128i *)from);
    if (KIND == INT8) return (floats)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
    const __m256i moved = _mm256_slli_epi32(_mm256_cvtepi8_epi32(eight), 20);
    return (floats)_mm256_and_si256(moved, _mm256_set1_epi32((int)0x87f00000));
#endif
    if (KIND == INT8) {
        bytes v;
        memcpy(&v, from, 8);
        return __builtin_convertvector(__builtin_convertvector(v, ints), floats);
    }
    codes v;
    memcpy(&v, from, 8);
    const ints wide = __builtin_convertvector(v, ints);
    return (floats)((wide & 0x7f) << 20 | (wide & 0x80) << 24);
}

INLINE void byte_block(const int KIND, const int OUTS, const int ROWS, const uint8_t *held, const float *scales,
                       const float *x, void *y, int type, long place, int inputs, int outputs) {
    floats all[4][4];
    for (int o = 0; o < OUTS; o++)
        for (int r = 0; r < ROWS; r++) all[o][r] = (floats){0};
    for (int at = 0; at < inputs; at += 8)
        for (int o = 0; o < OUTS; o++) {
            const floats w = widened(KIND, held + (long)o * inputs + at);
            for (int r = 0; r < ROWS; r++) all[o][r] += w * load(x + (long)r * inputs + at);
        }
    for (int o = 0; o < OUTS; o++)
        for (int r = 0; r < ROWS; r++) {
            const float sum = total(all[o][r]);
            put(y, type, place + (long)r * outputs + o, (KIND == FP8 ? sum * 0x1p120f : sum) * scales[o]);
        }
}

#define BYTES(KIND, ROWS)                                                                                              \
    byte_block(KIND, 4, ROWS, p, scales + o, x + (long)r * inputs, y, type, (long)r * outputs + o, inputs, outputs)

int mixprec_bytes(int kind, const uint8_t *held, const float *scales, const void *inputs_of, void *y, int type,
                  int rows, int inputs, int outputs, int threads) {
    float *room = type == FLOAT32 ? 0 : malloc((size_t)rows * inputs * sizeof(float));
    if (type != FLOAT32 && !room) return 1;
    const float *x = wide_inputs(inputs_of, type, (long)rows * inputs, room);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int o = 0; o < outputs; o += 4) {
        const uint8_t *p = held + (long)o * inputs;
        int r = 0;
        if (kind == INT8) {
            for (; r + 2 <= rows; r += 2) BYTES(INT8, 2);
            if (r < rows) BYTES(INT8, 1);
        } else {
            for (; r + 2 <= rows; r += 2) BYTES(FP8, 2);
            if (r < rows) BYTES(FP8, 1);
        }
    }
    free(room);
    return 0;
}
