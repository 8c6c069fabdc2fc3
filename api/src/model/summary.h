/* The summary as text. */
#ifndef WEFT_MODEL_SUMMARY_H
#define WEFT_MODEL_SUMMARY_H
#include <weft/model.h>
#include "base/text.h"

/* Appends Keras's table and sums for a terminal of that many columns. Of a finished model. */
weft_status weft__model_summary_text(const weft_model *model, int columns, weft__text *text);
#endif
