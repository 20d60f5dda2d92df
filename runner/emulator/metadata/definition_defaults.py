"""The values in definitions for features that are not emulated: those of a new table or column.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-definitions-using-web-api
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-column-definitions-using-web-api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TABLE_DEFAULTS: Mapping[str, Any] = {
    "ActivityTypeMask": 0,
    "AutoCreateAccessTeams": False,
    "AutoRouteToOwnerQueue": False,
    "CanTriggerWorkflow": True,
    "DaysSinceRecordLastModified": 0,
    "EntityColor": None,
    "EntityHelpUrl": None,
    "EntityHelpUrlEnabled": False,
    "IconLargeName": None,
    "IconMediumName": None,
    "IconSmallName": None,
    "IconVectorName": None,
    "IsAIRUpdated": False,
    "IsActivityParty": False,
    "IsAvailableOffline": False,
    "IsBusinessProcessEnabled": False,
    "IsChildEntity": False,
    "IsDocumentManagementEnabled": False,
    "IsEnabledForCharts": True,
    "IsEnabledForTrace": False,
    "IsImportable": True,
    "IsInteractionCentricEnabled": False,
    "IsKnowledgeManagementEnabled": False,
    "IsOneNoteIntegrationEnabled": False,
    "IsQuickCreateEnabled": False,
    "IsReadingPaneEnabled": True,
    "SyncToExternalSearchIndex": False,
}

#: Managed properties: the value, and the logical name of the managed property.
MANAGED_TABLE_DEFAULTS: Mapping[str, tuple[bool, str]] = {
    "CanBeInManyToMany": (True, "canbeinmanytomany"),
    "CanBePrimaryEntityInRelationship": (True, "canbeprimaryentityinrelationship"),
    "CanBeRelatedEntityInRelationship": (True, "canberelatedentityinrelationship"),
    "CanChangeHierarchicalRelationship": (True, "canchangehierarchicalrelationship"),
    "CanCreateCharts": (True, "cancreatecharts"),
    "CanCreateForms": (True, "cancreateforms"),
    "CanCreateViews": (True, "cancreateviews"),
    "CanEnableSyncToExternalSearchIndex": (True, "canenablesynctoexternalsearchindex"),
    "CanModifyAdditionalSettings": (True, "canmodifyadditionalsettings"),
    "IsAuditEnabled": (False, "canmodifyauditsettings"),
    "IsConnectionsEnabled": (False, "canmodifyconnectionsettings"),
    "IsDuplicateDetectionEnabled": (False, "canmodifyduplicatedetectionsettings"),
    "IsMailMergeEnabled": (True, "canmodifymailmergesettings"),
    "IsMappable": (True, "ismappable"),
    "IsOfflineInMobileClient": (False, "canmodifymobileclientoffline"),
    "IsReadOnlyInMobileClient": (False, "canmodifymobileclientreadonly"),
    "IsValidForQueue": (False, "canmodifyqueuesettings"),
    "IsVisibleInMobile": (False, "canmodifymobilevisibility"),
    "IsVisibleInMobileClient": (False, "canmodifymobileclientvisibility"),
}

COLUMN_DEFAULTS: Mapping[str, Any] = {
    "AutoNumberFormat": None,
    "CanBeSecuredForCreate": True,
    "CanBeSecuredForRead": True,
    "CanBeSecuredForUpdate": True,
    "DeprecatedVersion": None,
    "ExternalName": None,
    "InheritsFrom": None,
    "IntroducedVersion": "1.0.0.0",
    "IsDataSourceSecret": False,
    "IsFilterable": False,
    "IsRequiredForForm": False,
    "IsRetrievable": False,
    "IsSearchable": False,
    "IsValidForForm": True,
    "IsValidForGrid": True,
    "LinkedAttributeId": None,
    "Settings": (),
}

MANAGED_COLUMN_DEFAULTS: Mapping[str, tuple[bool, str]] = {
    "CanModifyAdditionalSettings": (True, "canmodifyadditionalsettings"),
    "IsAuditEnabled": (True, "canmodifyauditsettings"),
    "IsGlobalFilterEnabled": (False, "canmodifyglobalfiltersettings"),
    "IsRenameable": (True, "isrenameable"),
    "IsSortableEnabled": (False, "canmodifyissortablesettings"),
    "IsValidForAdvancedFind": (True, "canmodifysearchsettings"),
}
