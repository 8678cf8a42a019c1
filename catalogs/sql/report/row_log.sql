-- How did the losses of the model of rows go? (parameter model)
SELECT stage, step, discriminator, generator, information, classifier
FROM row_model_log WHERE model_id = $model ORDER BY step;
