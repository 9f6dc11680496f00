<?xml version="1.0" encoding="UTF-8"?>
<!-- What the sample agreement lets through, and nothing else. No pseudonyms: XSLT 1.0 has no keyed hash, so ECK iDs
     are left out and the keys of the pupil administration stay. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
    xmlns:u="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens" exclude-result-prefixes="u">
  <xsl:output method="xml" encoding="UTF-8" indent="no"/>

  <xsl:template match="node() | @*"/>

  <xsl:template match="/">
    <xsl:apply-templates select="soapenv:Envelope"/>
  </xsl:template>

  <xsl:template match="soapenv:Envelope | soapenv:Body | u:leerlinggegevens_antwoord | u:leerlinggegevens
      | u:school | u:groepen | u:leerlingen | u:leerkrachten | u:samengestelde_groepen
      | u:groep | u:samengestelde_groep | u:leerling | u:leerkracht">
    <xsl:copy>
      <xsl:copy-of select="@key"/>
      <xsl:apply-templates select="*"/>
    </xsl:copy>
  </xsl:template>

  <xsl:template match="u:school/u:schooljaar | u:school/u:brincode | u:school/u:dependancecode | u:school/u:xsdversie
      | u:groep/u:naam | u:groep/u:jaargroep | u:groep/u:rol | u:samengestelde_groep/u:naam
      | u:leerling/u:achternaam | u:leerling/u:voorvoegsel | u:leerling/u:roepnaam | u:leerling/u:jaargroep
      | u:leerkracht/u:achternaam | u:leerkracht/u:voorvoegsel | u:leerkracht/u:roepnaam | u:leerkracht/u:emailadres">
    <xsl:copy><xsl:value-of select="."/></xsl:copy>
  </xsl:template>

  <xsl:template match="u:leerling/u:geboortedatum">
    <xsl:copy><xsl:value-of select="concat(substring(., 1, 4), '-01-01')"/></xsl:copy>
  </xsl:template>
</xsl:stylesheet>
