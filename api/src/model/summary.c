/* Keras's summary(): the table of layers, then the sums of parameters. Widths and rules are those
 * of its utils/summary_utils.py. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/settings.h"
#include "model/parts.h"
#include "model/summary.h"
#include "model/grid.h"

/* 1234567 -> "1,234,567" */
static void put_count(weft__text *text, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) weft__text_put(text, ",", 1);
        weft__text_put(text, &digits[i], 1);
    }
}

static void put_memory(weft__text *text, uint64_t bytes)
{
    static const char *const unit[] = { "B", "KB", "MB", "GB", "TB", "PB" };
    double size = (double)bytes;
    int i = 0;
    for (; size >= 1024 && i < 5; i++)
        size /= 1024;
    weft__text_add(text, "%.2f %s", size, unit[i]);
}

/* "(None, 64)": a dimension that is not a number is None, as Keras has it. */
static void put_shape(weft__text *text, const weft_spec *spec)
{
    weft__text_put(text, "(", 1);
    for (int i = 0; i < spec->rank; i++) {
        if (i) weft__text_put(text, ", ", 2);
        if (spec->dim[i] < 0)
            weft__text_put(text, "None", 4);
        else
            weft__text_add(text, "%lld", (long long)spec->dim[i]);
    }
    weft__text_put(text, ")", 1);
}

/* Of the last call, which is the one that Keras shows. */
static void put_result(weft__text *text, const weft_model *model, const weft__layer *layer)
{
    const weft__call *call = &layer->call[layer->n_calls - 1];
    if (call->n_out > 1) weft__text_put(text, "[", 1);
    for (uint32_t i = 0; i < call->n_out; i++) {
        if (i) weft__text_put(text, ", ", 2);
        put_shape(text, &weft__tensor_at(model, call->first + i)->spec);
    }
    if (call->n_out > 1) weft__text_put(text, "]", 1);
}

/* "dense[0][0]": layer, call, result. Constants are no layers. */
static void put_connections(weft__text *text, const weft_model *model, const weft__layer *layer)
{
    for (size_t i = 0; layer && i < layer->n_calls; i++)
        for (uint32_t k = 0; k < layer->call[i].n_in; k++) {
            const weft__tensor *t = weft__tensor_at(model, layer->call[i].in[k]);
            if (!t || t->kind == WEFT__T_CONST) continue;
            weft__text_add(text, "%s%s[%u][%u]", text->n ? ", " : "",
                           t->kind == WEFT__T_INPUT ? t->name
                                                    : weft__layer_at(model, t->layer)->name,
                           (unsigned)t->call, (unsigned)t->index);
        }
    if (text->n == 0) weft__text_put(text, "-", 1);
}

static uint64_t count(const weft__variable *v)
{
    return weft__spec_bytes(&v->spec) / weft_dtype_size(v->spec.dtype);
}

static weft_status add_row(weft__grid *table, const weft_model *model, const weft__place *place)
{
    const weft__layer *layer = place->is_input ? NULL : weft__layer_at(model, place->index);
    const weft__tensor *input = layer ? NULL : weft__tensor_at(model, model->input[place->index]);
    weft__text text[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    uint64_t parameters = 0;
    weft_status st = WEFT_OK;
    weft__text_add(&text[0], "%s (%s)", layer ? layer->name : input->name,
                   layer ? weft__layer_class_name(layer) : "InputLayer");
    if (layer)
        put_result(&text[1], model, layer);
    else
        put_shape(&text[1], &input->spec);
    const weft__body *body = layer ? layer->body : NULL;
    size_t n = !body ? 0 : body->sub ? body->sub->n_variables : body->n_variables;
    for (size_t i = 0; i < n; i++)
        parameters += count(body->sub ? body->sub->variable[i] : body->variable[i]);
    put_count(&text[2], parameters);
    put_connections(&text[3], model, layer);
    for (int i = 0; i < 4; i++) {
        if (i < table->n_columns && st == WEFT_OK)
            st = weft__grid_cell(table, &text[i]);
        else
            weft__text_finish(&text[i]);
    }
    return st;
}

static void put_sum(weft__text *text, const char *label, uint64_t n, uint64_t bytes)
{
    weft__text_add(text, " %s: ", label);
    put_count(text, n);
    weft__text_put(text, " (", 2);
    put_memory(text, bytes);
    weft__text_put(text, ")\n", 2);
}

static void put_sums(weft__text *text, const weft_model *model)
{
    uint64_t n[2] = { 0 }, bytes[2] = { 0 };
    for (size_t i = 0; i < model->n_variables; i++) {
        const weft__variable *v = model->variable[i];
        int trainable = (v->flags & WEFT_TRAINABLE) != 0;
        n[trainable] += count(v);
        bytes[trainable] += weft__spec_bytes(&v->spec);
    }
    put_sum(text, "Total params", n[0] + n[1], bytes[0] + bytes[1]);
    put_sum(text, "Trainable params", n[1], bytes[1]);
    put_sum(text, "Non-trainable params", n[0], bytes[0]);
}

weft_status weft__model_summary_text(const weft_model *model, int columns, weft__text *text)
{
    static const char *const header[] = { "Layer (type)", "Output Shape", "Param #",
                                          "Connected to" };
    static const double chain[] = { 0.45, 0.80, 1.0 }, net[] = { 0.3, 0.56, 0.74, 1.0 };
    int plain = model->sequential, widest = plain ? 88 : 108,
        line = columns - 4 < widest ? columns - 4 : widest;
    weft__grid table = { .n_columns = plain ? 3 : 4, .header = header, .right = { 0, 0, 1, 0 } };
    weft_status st = WEFT_OK;
    if (!weft__grid_fit(&table, plain ? chain : net, line))
        return weft_fail(
            WEFT_E_ARG, "%d columns are too few for a summary; set COLUMNS to 40 or more", columns);
    int no_inputs = !strcmp(model->kind, WEFT__KIND_SEQUENTIAL);
    for (size_t i = 0; i < model->n_places && st == WEFT_OK; i++)
        if (!no_inputs || !model->place[i].is_input) st = add_row(&table, model, &model->place[i]);
    if (st == WEFT_OK) {
        weft__text_add(text, "Model: \"%s\"\n", model->name);
        weft__grid_print(&table, text);
        put_sums(text, model);
        if (text->failed) st = WEFT_E_NOMEM;
    }
    weft__grid_finish(&table);
    return st;
}

weft_status weft_model_summary(const weft_model *model, FILE *file)
{
    weft__text text = { 0 };
    if (!model || !file)
        return weft_fail(WEFT_E_ARG, "weft_model_summary needs a model and a file");
    if (!model->finished)
        return weft_fail(WEFT_E_ARG,
                         "model \"%s\" is not finished; end it with weft_model_finish()",
                         model->name);
    const char *columns = weft__setting("COLUMNS");
    long wide = columns ? strtol(columns, NULL, 10) : 80;
    weft_status st =
        weft__model_summary_text(model, wide > 0 && wide < 10000 ? (int)wide : 80, &text);
    if (st == WEFT_OK && (fputs(text.s, file) < 0 || fflush(file) != 0))
        st = weft_fail(WEFT_E_IO, "the summary could not be written");
    weft__text_finish(&text);
    return st;
}
