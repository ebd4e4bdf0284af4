"""Campaigns: content, welcomes, and the one push pipeline. One module per noun; everything is importable from here."""

from campaigns.models.broadcasts import Approval, Broadcast, Campaign
from campaigns.models.content import Content, ContentVersion
from campaigns.models.observed import LedgerCoverage, MassSend, MassSendResult
from campaigns.models.pushes import Delivery, DeliveryMove, Dispatch, Push
from campaigns.models.sops import Enrollment, EnrollmentStep, Sop, SopStep, SopVersion
from campaigns.models.welcomes import WelcomeSend, WelcomeTemplate

__all__ = [
    "Approval",
    "Broadcast",
    "Campaign",
    "Content",
    "ContentVersion",
    "Delivery",
    "DeliveryMove",
    "Dispatch",
    "Enrollment",
    "EnrollmentStep",
    "LedgerCoverage",
    "MassSend",
    "MassSendResult",
    "Push",
    "Sop",
    "SopStep",
    "SopVersion",
    "WelcomeSend",
    "WelcomeTemplate",
]
