"""What the service says by each code, for the table in `docs/errors.md`: HTTP status and meaning.

A line holds one code in all its spellings. What to do stands in the code table.
"""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[tuple[str, ...], tuple[int, str]] = {
    ("InvalidParameter", "invalid_parameter_error", "InternalError.Algo.InvalidParameter"): (
        400,
        "A parameter or a message is not as the service takes it; the message says which",
    ),
    ("BadRequest",): (
        400,
        "Something is missing in the request or too large; the message says what",
    ),
    ("InvalidURL",): (400, "A URL in the request cannot be read, such as that of an image"),
    ("UnsupportedOperation",): (400, "What the request refers to cannot do this"),
    (
        "DataInspectionFailed",
        "data_inspection_failed",
        "InternalError.Algo.DataInspectionFailed",
    ): (400, "Content inspection refused the input or the output"),
    ("CustomRoleBlocked",): (
        400,
        "A rule of your own for contents refused the input or the output",
    ),
    ("FaqRuleBlocked",): (400, "A rule for frequent questions refused the input or the output"),
    ("IPInfringementSuspect",): (
        400,
        "The input may infringe somebody's intellectual property",
    ),
    ("InvalidApiKey", "invalid_api_key"): (
        401,
        "The key is wrong, deleted, or of another region",
    ),
    ("NOT AUTHORIZED",): (
        401,
        "The workspace does not exist, the account is no member of it, or the host is another's",
    ),
    ("AccessDenied", "access_denied"): (
        403,
        "The model is not activated for the account, or was switched off",
    ),
    ("Model.AccessDenied",): (403, "The key's workspace may not use the model"),
    ("Workspace.AccessDenied",): (403, "The key may not use the workspace"),
    ("Arrearage",): (400, "The account is in arrears"),
    ("AllocationQuota.FreeTierOnly",): (
        403,
        "The free quota is used up, and the account is set to use no other",
    ),
    ("CommodityNotPurchased",): (429, "The workspace has not subscribed to the service"),
    ("PrepaidBillOverdue",): (429, "The workspace's prepaid bill is overdue"),
    ("PostpaidBillOverdue",): (429, "The bill for calling models is overdue"),
    ("BudgetLimitExceeded",): (429, "The budget that was set is used up"),
    ("ModelNotFound", "model_not_found", "Model.NotExist"): (
        404,
        "There is no such model for this key and region",
    ),
    ("model_not_supported",): (404, "The model is not served at this address"),
    ("WorkSpaceNotFound",): (404, "There is no such workspace"),
    ("Throttling",): (
        429,
        (
            "Too many requests (Throttling.RateQuota), too suddenly (Throttling.BurstRate), "
            "or too many at once (Throttling.Concurrency)"
        ),
    ),
    ("LimitRequests", "limit_requests"): (429, "Too many requests"),
    ("limit_burst_rate",): (429, "Too many requests too suddenly"),
    ("rate_limit_exceeded",): (429, "Too many requests or tokens"),
    ("Throttling.AllocationQuota", "insufficient_quota"): (429, "Too many tokens within a minute"),
    ("InternalError", "internal_error"): (500, "The service or the model failed"),
    ("SystemError",): (500, "The service failed"),
    ("ModelServiceFailed",): (500, "The service could not ask the model"),
    ("RequestTimeOut", "InternalError.Timeout"): (
        500,
        "The answer took longer than the service waits",
    ),
    ("ResponseTimeout",): (500, "The answer came to a halt within the service"),
    ("ModelServingError",): (503, "The service is at the limit of what it can do"),
    ("ModelUnavailable",): (503, "The model is not available for the moment"),
    ("ServiceUnavailable",): (503, "The service is not available for the moment"),
    ("GatewayTimeout",): (504, "The gateway waited too long for the answer"),
}
