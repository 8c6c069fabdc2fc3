/* The recurrent family: the ops lstm and lstm_grad with kernels for CPU and OpenCL, and the layer
 * LSTM. */
#ifndef WEFT_PLUGINS_RECURRENT_H
#define WEFT_PLUGINS_RECURRENT_H
#include <weft/plugin.h>

extern const weft_layer_class recurrent_lstm_layer;
extern const weft_op_class recurrent_lstm, recurrent_lstm_grad;
extern const weft_ext recurrent_lstm_kernels[], recurrent_lstm_grad_kernels[];
extern const weft_cpu_kernel recurrent_lstm_cpu, recurrent_lstm_grad_cpu;
extern const weft_cl_kernel recurrent_lstm_cl, recurrent_lstm_grad_cl;

/* Inputs and results of the two ops by number. */
enum { LSTM_Z, LSTM_U, LSTM_H0, LSTM_C0, LSTM_MASK };
enum { LSTM_Y, LSTM_H, LSTM_C, LSTM_GATES, LSTM_CELLS };
enum { GRAD_U, GRAD_GATES, GRAD_CELLS, GRAD_C0, GRAD_DY, GRAD_DH, GRAD_DC, GRAD_MASK };
enum { GRAD_DZ, GRAD_DH0, GRAD_DC0 };

/* ---- building.c: values of shape [batch, steps, ..] ---- */
/* x [batch, steps, n] one step later: `first` [batch, n] (WEFT_NONE: zeros), then x without its
 * last step. */
weft_val recurrent_shift(weft_build *b, weft_val first, weft_val x);
/* x with its steps in reverse order, if so. */
weft_val recurrent_reverse(weft_build *b, weft_val x, int reverse);
/* A mask [batch, steps] as [batch, steps, 1]. */
weft_val recurrent_column(weft_build *b, weft_val mask);
/* map over the values behind expr, a literal. */
#define RECURRENT_MAP(b, expr, ...) weft_op_((b), "map", "expr=\"" expr "\"", __VA_ARGS__)
#endif
